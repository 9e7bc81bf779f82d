// What is being asked now.

import { ask } from "./api.js";
import { count, el, table } from "./dom.js";

const EVERY_MS = 2000;

export function show(state, keep, left) {
  const out = el("div", {}, el("div", { class: "note" }, "…"));
  const look = async () => {
    try {
      const { data } = await ask("/api/v1/status/active_queries", {}, left, "GET");
      const list = Array.isArray(data) ? data : (data.queries ?? []);
      out.replaceChildren(el("div", { class: "note" }, `${count(list.length)} running`), told(list));
    } catch (error) {
      if (error.name === "AbortError") return;
      out.replaceChildren(el("div", { class: "error" }, error.message));
    }
    if (!left.aborted) setTimeout(look, EVERY_MS);
  };
  look();
  return out;
}

/** Every field the server tells of a query, in a column of its own. */
function told(list) {
  const columns = [...new Set(list.flatMap(Object.keys))];
  if (columns.length === 0) return "";
  return table(columns, list.map((one) => columns.map((name) => text(one[name]))));
}

function text(value) {
  if (value == null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
