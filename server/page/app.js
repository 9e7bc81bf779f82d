// The page's frame: which view is shown, and its state in the address, so that a link shows the same.

import { ask } from "./api.js";
import { el } from "./dom.js";
import * as arrivals from "./arrivals.js";
import * as logs from "./logs.js";
import * as metrics from "./metrics.js";
import * as queries from "./queries.js";
import * as series from "./series.js";

const VIEWS = { metrics, logs, series, arrivals, queries };
const view = document.getElementById("view");
const tenant = document.getElementById("tenant");
let leave = null;

/** `#metrics?query=up&range=1h` as `["metrics", {query, range}]`; links made for Prometheus' page too. */
function address() {
  const linked = new URLSearchParams(location.search);
  if (location.hash === "" && linked.has("g0.expr")) {
    const kind = ["0", "graph"].includes(linked.get("g0.tab") ?? "0") ? "graph" : "table";
    return ["metrics", { query: linked.get("g0.expr"), range: linked.get("g0.range_input") ?? "1h", kind }];
  }
  const [name, query = ""] = location.hash.slice(1).split("?");
  return [Object.hasOwn(VIEWS, name) ? name : "metrics", Object.fromEntries(new URLSearchParams(query))];
}

/** Shows what the address names; a view may give a function to be called when it is left. */
function show() {
  leave?.abort();
  leave = new AbortController();
  const [name, state] = address();
  for (const link of document.querySelectorAll("nav a")) {
    link.classList.toggle("here", link.getAttribute("href") === `#${name}`);
  }
  if (state.tenant !== undefined) tenant.value = state.tenant;
  // Without an event, so that the view is not built anew under the user's hands.
  const keep = (state) => {
    const kept = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
    if (tenant.value.trim() !== "") kept.set("tenant", tenant.value.trim());
    history.replaceState(null, "", `#${name}?${kept}`);
  };
  view.replaceChildren(VIEWS[name].show(state, keep, leave.signal));
}

tenant.value = localStorage.getItem("tenant") ?? "";
tenant.addEventListener("change", () => {
  localStorage.setItem("tenant", tenant.value.trim());
  history.replaceState(null, "", location.hash.replace(/[?&]tenant=[^&]*/, ""));
  show();
});
addEventListener("hashchange", show);
show();

ask("/api/v1/status/buildinfo", {}, undefined, "GET").then(
  (answer) => document.getElementById("version").append(answer.data.version),
  (error) => view.prepend(el("div", { class: "error" }, error.message)),
);
