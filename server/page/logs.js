// LogQL: lines with their volume by level, metric queries as a chart, and a live tail.

import { ask } from "./api.js";
import { completed } from "./complete.js";
import { count, el } from "./dom.js";
import { chart } from "./graph.js";
import { moment, seconds, step } from "./time.js";

/** Most lines kept on the page while tailing. */
const KEPT = 2000;
const LEVELS = { __proto__: null, critical: "#a142c9", fatal: "#a142c9", error: "#d64545", warn: "#d99a2b", info: "#3f8f5f", debug: "#4a7fc4", trace: "#7aa8d8" };
const levelOf = (labels) => labels.detected_level ?? labels.level ?? "unknown";
const colourOf = (labels) => LEVELS[levelOf(labels)] ?? "#8b8f96";

export function show(state, keep, left) {
  const area = el("textarea", { rows: 2, placeholder: 'LogQL, such as {service_name="api"} |= "timeout"', spellcheck: "false", autofocus: true });
  area.value = state.query ?? "";
  const range = el("input", { size: 5, value: state.range ?? "1h", title: "range, such as 30m, 6h or 2d" });
  const end = el("input", { type: "datetime-local", step: 1, title: "end; now, if empty", value: state.end ?? "" });
  const limit = el("input", { size: 5, value: state.limit ?? "200", title: "most lines" });
  const tail = el("button", { type: "button" }, "Tail");
  const out = el("div");
  let running = null;
  let socket = null;
  const stop = () => {
    running?.abort();
    socket?.close();
    socket = null;
    tail.textContent = "Tail";
  };
  const wanted = () => {
    const query = area.value.trim();
    keep({ query, range: range.value, end: end.value, limit: limit.value });
    stop();
    return query;
  };
  const run = async () => {
    const query = wanted();
    if (query === "") return;
    running = new AbortController();
    out.replaceChildren(el("div", { class: "note" }, "…"));
    try {
      const until = end.value === "" ? Date.now() / 1000 : new Date(end.value).getTime() / 1000;
      out.replaceChildren(await answer(query, until, range.value.trim(), limit.value, running.signal));
    } catch (error) {
      if (error.name !== "AbortError") out.replaceChildren(el("div", { class: "error" }, error.message));
    }
  };
  tail.addEventListener("click", () => {
    if (socket) return stop();
    const query = wanted();
    if (query === "") return;
    if (document.getElementById("tenant").value.trim() !== "") {
      const text = "a browser cannot name a tenant when it opens a WebSocket, so only the tenant anonymous can be followed here";
      return out.replaceChildren(el("div", { class: "error" }, text));
    }
    tail.textContent = "Stop";
    socket = follow(query, out, stop);
  });
  left.addEventListener("abort", stop);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) (event.preventDefault(), run());
  });
  const field = completed(area, false);
  const submit = (event) => (event.preventDefault(), run());
  const form = el("form", { class: "ask", submit }, field, range, end, limit, el("button", { class: "main" }, "Run"), tail);
  if (area.value !== "") run();
  return el("div", {}, form, out);
}

async function answer(query, until, rangeText, limit, signal) {
  const span = seconds(rangeText);
  if (!(span > 0)) throw new Error(`"${rangeText}" is no range: write it as 30m, 6h or 2d`);
  const every = step(span, 120);
  // The newest lines of this second are asked for too.
  const range = { start: until - span, end: until + 1, step: every };
  const { data } = await ask("/loki/api/v1/query_range", { query, ...range, limit }, signal);
  if (data.resultType === "matrix") {
    const series = data.result.map(({ metric, values }) => ({
      labels: metric,
      points: values.map(([at, value]) => [at, Number(value.replace("Inf", "Infinity"))]),
    }));
    const shown = series.length > 0 ? chart(series, range) : el("div", { class: "note" }, "nothing found");
    return el("div", {}, took(data, `${count(series.length)} series`), shown);
  }
  const lines = entries(data.result).sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
  const list = el("div", {}, ...lines.map(row));
  return el("div", {}, await volume(query, range, signal), took(data, `${count(lines.length)} lines`), list);
}

/** Lines of each level over time; nothing if the query has none, such as one that fails to parse. */
async function volume(query, range, signal) {
  const sums = `sum by (detected_level) (count_over_time(${query} [${range.step}s]))`;
  try {
    const { data } = await ask("/loki/api/v1/query_range", { query: sums, ...range }, signal);
    const series = data.result.map(({ metric, values }) => ({
      labels: metric,
      points: values.map(([at, value]) => [at, Number(value)]),
    }));
    return series.length > 0 ? chart(series, range, { bars: true, colour: colourOf }) : "";
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return el("div", { class: "note" }, `no volume: ${error.message}`);
  }
}

function took({ stats }, found) {
  const { totalLinesProcessed = 0, execTime = 0 } = stats?.summary ?? {};
  const time = (execTime * 1000).toFixed(1);
  return el("div", { class: "note" }, `${found}; looked at ${count(totalLinesProcessed)} in ${time} ms`);
}

function entries(streams) {
  return streams.flatMap(({ stream, values }) => values.map(([at, line]) => ({ at: BigInt(at), line, labels: stream })));
}

function row({ at, line, labels }) {
  const time = el("time", {}, moment(Number(at / 1000000n) / 1000));
  const text = el("div", { class: "line", title: "click for labels" }, line);
  const element = el("div", { class: "entry" }, time, text);
  element.style.borderLeftColor = colourOf(labels);
  let details = null;
  text.addEventListener("click", () => {
    // A click that ends a selection of text is none.
    if (String(getSelection()) !== "") return;
    if (details) return void (details.remove(), (details = null));
    const pairs = Object.entries(labels).flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]);
    details = el("dl", {}, ...pairs);
    element.append(details);
  });
  return element;
}

/** Shows lines as they come, the newest first. */
function follow(query, out, ended) {
  const list = el("div");
  const note = el("div", { class: "note" }, "waiting for lines");
  out.replaceChildren(note, list);
  const address = new URL("/loki/api/v1/tail", location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.searchParams.set("query", query);
  const socket = new WebSocket(address);
  let dropped = 0;
  let seen = 0;
  socket.addEventListener("message", (event) => {
    const frame = JSON.parse(event.data);
    dropped += frame.dropped_entries?.length ?? 0;
    const lines = entries(frame.streams ?? []).sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
    seen += lines.length;
    list.prepend(...lines.map(row));
    while (list.children.length > KEPT) list.lastChild.remove();
    note.textContent = `${count(seen)} lines${dropped > 0 ? `, ${count(dropped)} left out because they came too fast` : ""}`;
  });
  socket.addEventListener("close", (event) => {
    note.append(` · ended${event.reason === "" ? "" : `: ${event.reason}`}`);
    ended();
  });
  return socket;
}
