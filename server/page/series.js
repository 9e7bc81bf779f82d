// Where series come from: the metrics and labels with most of them.

import { ask } from "./api.js";
import { count, el, table } from "./dom.js";

export function show(state, keep, left) {
  const out = el("div", {}, el("div", { class: "note" }, "…"));
  ask("/api/v1/status/tsdb", { limit: 25 }, left, "GET").then(
    ({ data }) => out.replaceChildren(...tables(data)),
    (error) => error.name === "AbortError" || out.replaceChildren(el("div", { class: "error" }, error.message)),
  );
  return out;
}

function tables(data) {
  const { numSeries, chunkCount, numLabelPairs } = data.headStats;
  const link = (name, query) => el("a", { href: `#metrics?${new URLSearchParams({ query, kind: "table" })}` }, name);
  const part = (title, column, rows, query) => {
    const shown = rows.map(({ name, value }) => [query ? link(name, query(name)) : name, count(value)]);
    return el("section", {}, el("h2", {}, title), table([column, "#"], shown));
  };
  const pair = (name) => {
    const [label, ...value] = name.split("=");
    return `count by (__name__) ({${JSON.stringify(label)}=${JSON.stringify(value.join("="))}})`;
  };
  const note = `${count(numSeries)} series written to in the last hour, ${count(chunkCount)} chunks, ${count(numLabelPairs)} pairs of label and value`;
  return [
    el("div", { class: "note" }, note),
    el(
      "div",
      { class: "columns" },
      part("Series by metric", "metric", data.seriesCountByMetricName, (name) => `{__name__=${JSON.stringify(name)}}`),
      part("Series by label and value", "label=value", data.seriesCountByLabelValuePair, pair),
      part("Values by label", "label", data.labelValueCountByLabelName),
      part("Bytes of values by label", "label", data.memoryInBytesByLabelName),
    ),
  ];
}
