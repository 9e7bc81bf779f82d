// PromQL: a chart over a range, or the values of one moment.

import { ask } from "./api.js";
import { completed } from "./complete.js";
import { count, el, labelText, table } from "./dom.js";
import { chart } from "./graph.js";
import { moment, seconds, step } from "./time.js";

/** Most rows of the table; what is left out is told. */
const ROWS_MAX = 1000;

export function show(state, keep, left) {
  const area = el("textarea", { rows: 2, placeholder: "PromQL", spellcheck: "false", autofocus: true });
  area.value = state.query ?? "";
  const range = el("input", { size: 5, value: state.range ?? "1h", title: "range, such as 30m, 6h or 2d" });
  const end = el("input", { type: "datetime-local", step: 1, title: "end; now, if empty", value: state.end ?? "" });
  const every = el("input", { size: 5, value: state.step ?? "", placeholder: "step", title: "step in seconds or as 1m; chosen by the range, if empty" });
  const kind = el("select", {}, el("option", { value: "graph" }, "Graph"), el("option", { value: "table" }, "Table"), el("option", { value: "explain" }, "Explain"));
  kind.value = state.kind ?? "graph";
  const out = el("div");
  let running = null;

  const run = async () => {
    const query = area.value.trim();
    if (query === "") return;
    keep({ query, range: range.value, end: end.value, step: every.value, kind: kind.value });
    running?.abort();
    running = new AbortController();
    out.replaceChildren(el("div", { class: "note" }, "…"));
    try {
      const until = end.value === "" ? Date.now() / 1000 : new Date(end.value).getTime() / 1000;
      out.replaceChildren(await answer(query, kind.value, until, range.value, every.value, running.signal));
    } catch (error) {
      if (error.name !== "AbortError") out.replaceChildren(el("div", { class: "error" }, error.message));
    }
  };
  left.addEventListener("abort", () => running?.abort());
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) (event.preventDefault(), run());
  });
  const field = completed(area, true);
  const submit = (event) => (event.preventDefault(), run());
  const form = el("form", { class: "ask", submit }, field, range, end, every, kind, el("button", { class: "main" }, "Run"));
  kind.addEventListener("change", run);
  if (area.value !== "") run();
  return el("div", {}, form, out);
}

async function answer(query, kind, until, range, every, signal) {
  if (kind === "graph") return overRange(query, until, range, every, signal);
  const wanted = { query, time: until, stats: kind === "explain" ? "all" : "true" };
  const { data, warnings, infos } = await ask("/api/v1/query", wanted, signal);
  const shown = kind === "explain" ? explained(data.stats) : values(data);
  return el("div", {}, ...told(warnings, infos), took(data), shown);
}

async function overRange(query, until, rangeText, every, signal) {
  const span = seconds(rangeText.trim());
  if (!(span > 0)) throw new Error(`"${rangeText}" is no range: write it as 30m, 6h or 2d`);
  const wanted = every === "" ? step(span, 240) : seconds(every) || Number(every);
  if (!(wanted > 0)) throw new Error(`"${every}" is no step: write seconds, or 30s, 5m`);
  const end = Math.floor(until / wanted) * wanted;
  const range = { start: end - span, end, step: wanted };
  const { data, warnings, infos } = await ask("/api/v1/query_range", { query, ...range, stats: "true" }, signal);
  const floats = data.result.filter((one) => one.values?.length > 0);
  const series = floats.map(({ metric, values }) => ({
    labels: metric,
    points: values.map(([at, value]) => [at, Number(value.replace("Inf", "Infinity"))]),
  }));
  const rest = data.result.filter((one) => one.histograms?.length > 0).length;
  const notes = told(warnings, infos);
  if (rest > 0) notes.push(el("div", { class: "note" }, `${rest} series of histograms are in the table only`));
  if (series.length === 0) return el("div", {}, ...notes, took(data), el("div", { class: "note" }, "nothing found"));
  return el("div", {}, ...notes, took(data), chart(series, range));
}

function told(warnings = [], infos = []) {
  const all = [...warnings.map((text) => ["warning", text]), ...infos.map((text) => ["note", text])];
  return all.map(([kind, text]) => el("div", { class: kind }, text));
}

function took({ result, resultType, stats }) {
  const found = resultType === "vector" || resultType === "matrix" ? `${count(result.length)} series, ` : "";
  const samples = count(stats?.samples?.totalQueryableSamples ?? 0);
  const time = ((stats?.timings?.execTotalTime ?? 0) * 1000).toFixed(1);
  return el("div", { class: "note" }, `${found}${samples} samples in ${time} ms`);
}

function values({ resultType, result }) {
  if (resultType === "scalar" || resultType === "string") return el("pre", {}, result[1]);
  const text = (one) => one.value?.[1] ?? (one.histogram ? JSON.stringify(one.histogram[1]) : runs(one));
  if (result.length === 0) return el("div", { class: "note" }, "nothing found");
  const rows = result.slice(0, ROWS_MAX).map((one) => [labelText(one.metric), text(one)]);
  const more = result.length - rows.length;
  const note = more > 0 ? [el("div", { class: "warning" }, `${count(more)} more series are not shown`)] : [];
  return el("div", {}, ...note, table(["series", "value#"], rows));
}

/** The samples of a range vector. */
function runs({ values = [], histograms = [] }) {
  const lines = values.map(([at, value]) => `${value} @ ${moment(at)}`);
  lines.push(...histograms.map(([at, value]) => `${JSON.stringify(value)} @ ${moment(at)}`));
  return el("pre", {}, lines.join("\n"));
}

function explained(stats) {
  const rows = [];
  const walk = (operator, depth) => {
    const name = `${"\u00a0\u00a0".repeat(depth)}${operator.operator} ${operator.detail ?? ""}`;
    const time = `${((operator.time ?? 0) * 1000).toFixed(2)} ms`;
    const numbers = [operator.series, operator.samplesRead, operator.pages, operator.bytes];
    rows.push([name, ...numbers.map((one) => (one == null ? "" : count(one))), time]);
    (operator.below ?? []).forEach((one) => walk(one, depth + 1));
  };
  (stats?.explain?.operators ?? []).forEach((one) => walk(one, 0));
  return table(["operator", "series#", "samples#", "pages#", "bytes#", "time#"], rows);
}
