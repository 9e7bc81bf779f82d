// A chart of series on a canvas: lines, or bars on top of each other.

import { el, labelText } from "./dom.js";
import { moment, tick } from "./time.js";

/** Most series drawn; what is left out is told. */
const DRAWN_MAX = 300;
const HEIGHT = 320;
const EDGE = { left: 62, right: 12, top: 10, bottom: 24 };

/**
 * `series` are `{labels, points: [[seconds, number], …]}`; `range` is `{start, end, step}` in seconds.
 * Gives an element with chart, values under the pointer and a legend that hides and shows.
 */
export function chart(series, range, options = {}) {
  const drawn = series.slice(0, DRAWN_MAX).map((one, i) => ({
    ...one,
    name: labelText(one.labels),
    colour: options.colour?.(one.labels) ?? colour(i),
    shown: true,
  }));
  const canvas = el("canvas", { height: HEIGHT });
  canvas.style.height = `${HEIGHT}px`;
  const under = el("div", { class: "note mono" }, "\u00a0");
  const legend = el("ul", { class: "legend mono" });
  let pointer = null;
  const redraw = () => draw(canvas, drawn.filter((one) => one.shown), range, options, pointer, under);
  for (const one of drawn) {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = one.colour;
    const toggle = (event) => {
      // A plain click shows this series alone, or all again; with a key held it is hidden or shown.
      const alone = drawn.every((other) => other.shown === (other === one));
      if (event.ctrlKey || event.metaKey) one.shown = !one.shown;
      else for (const other of drawn) other.shown = alone || other === one;
      [...legend.children].forEach((item, i) => item.classList.toggle("off", !drawn[i].shown));
      redraw();
    };
    legend.append(el("li", { click: toggle }, swatch, one.name));
  }
  canvas.addEventListener("pointermove", (event) => ((pointer = event.offsetX), redraw()));
  canvas.addEventListener("pointerleave", () => ((pointer = null), redraw()));
  let width = 0;
  const resized = () => {
    if (canvas.clientWidth === width) return;
    width = canvas.clientWidth;
    requestAnimationFrame(redraw);
  };
  new ResizeObserver(resized).observe(canvas);
  const left = series.length - drawn.length;
  const note = left > 0 ? [el("div", { class: "warning" }, `${left} more series are not drawn`)] : [];
  return el("div", {}, ...note, canvas, under, legend);
}

export function colour(i) {
  return `hsl(${Math.round((i * 137.508 + 210) % 360)} 62% 52%)`;
}

function draw(canvas, series, range, options, pointer, under) {
  const scale = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  canvas.width = width * scale;
  canvas.height = HEIGHT * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const stacked = options.bars ? stack(series) : null;
  const [low, high] = limits(stacked ?? series, options.bars);
  const plot = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const span = Math.max(range.end - range.start, 1e-3);
  const x = (at) => EDGE.left + ((at - range.start) / span) * plot.width;
  const y = (value) => EDGE.top + (1 - (value - low) / (high - low)) * plot.height;
  axes(pen, style, { low, high, x, y, range, width });
  pen.save();
  pen.beginPath();
  pen.rect(EDGE.left, EDGE.top, plot.width, plot.height);
  pen.clip();
  if (stacked) bars(pen, stacked, range, x, y);
  else for (const one of series) line(pen, one, range, x, y);
  pen.restore();
  under.textContent = "\u00a0";
  if (pointer !== null && pointer >= EDGE.left) {
    const at = range.start + ((pointer - EDGE.left) / plot.width) * span;
    under.textContent = nearest(series, at, range.step);
    pen.strokeStyle = style.getPropertyValue("--dim");
    pen.strokeRect(x(at), EDGE.top, 0, plot.height);
  }
}

function stack(series) {
  const sums = new Map();
  return series.map((one) => ({
    ...one,
    points: one.points.map(([at, value]) => {
      const from = sums.get(at) ?? 0;
      sums.set(at, from + value);
      return [at, from + value, from];
    }),
  }));
}

function limits(series, fromZero) {
  let low = fromZero ? 0 : Infinity;
  let high = fromZero ? 0 : -Infinity;
  for (const { points } of series) {
    for (const [, value] of points) {
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return [0, 1];
  const room = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
  return [fromZero ? 0 : low - room, high + room];
}

function axes(pen, style, { low, high, x, y, range, width }) {
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = style.getPropertyValue("--dim");
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.lineWidth = 1;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const value of ticks(low, high, 6)) {
    pen.beginPath();
    pen.moveTo(EDGE.left, Math.round(y(value)) + 0.5);
    pen.lineTo(width - EDGE.right, Math.round(y(value)) + 0.5);
    pen.stroke();
    pen.fillText(short(value), EDGE.left - 6, y(value));
  }
  pen.textAlign = "center";
  pen.textBaseline = "top";
  const span = range.end - range.start;
  const marks = Math.max(2, Math.floor(width / 120));
  for (let i = 0; i <= marks; i++) {
    const at = range.start + (span * (i + 0.5)) / (marks + 1);
    pen.fillText(tick(at, span), x(at), HEIGHT - EDGE.bottom + 6);
  }
}

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const first = Math.ceil(low / size);
  const values = [];
  for (let i = first; i * size <= high && values.length < 20; i++) values.push(i * size);
  return values;
}

function short(value) {
  const size = Math.abs(value);
  for (const [unit, of] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (size >= of) return `${+(value / of).toPrecision(4)}${unit}`;
  }
  return size !== 0 && size < 1e-4 ? value.toExponential(1) : String(+value.toPrecision(5));
}

function line(pen, { points, colour }, { step }, x, y) {
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 1.4;
  pen.beginPath();
  let before = -Infinity;
  points.forEach(([at, value], i) => {
    if (!Number.isFinite(value)) return void (before = -Infinity);
    const joined = at - before <= step * 1.5;
    if (joined) pen.lineTo(x(at), y(value));
    else pen.moveTo(x(at), y(value));
    // A point without neighbours would be a line of no length.
    const next = points[i + 1]?.[0] ?? Infinity;
    if (!joined && next - at > step * 1.5) pen.fillRect(x(at) - 1.5, y(value) - 1.5, 3, 3);
    before = at;
  });
  pen.stroke();
}

function bars(pen, series, { step }, x, y) {
  for (const { points, colour } of series) {
    pen.fillStyle = colour;
    for (const [at, top, from] of points) {
      pen.fillRect(x(at - step) + 0.5, y(top), Math.max(1, x(at) - x(at - step) - 1), y(from) - y(top));
    }
  }
}

function nearest(series, at, step) {
  const found = [];
  for (const { name, points } of series) {
    const point = points.find(([time]) => Math.abs(time - at) <= step / 2);
    if (point) found.push([name, point]);
  }
  if (found.length === 0) return "\u00a0";
  found.sort((a, b) => b[1][1] - a[1][1]);
  const told = found.slice(0, 6).map(([name, point]) => `${name} ${point[1]}`);
  const more = found.length > 6 ? ` … and ${found.length - 6} more` : "";
  return `${moment(found[0][1][0])}   ${told.join("   ")}${more}`;
}
