// What this tenant sent: by protocol and sender, what was refused and why, and how late it came.

import { ask } from "./api.js";
import { count, el, table } from "./dom.js";
import { moment } from "./time.js";

export function show(state, keep, left) {
  const out = el("div", {}, el("div", { class: "note" }, "…"));
  ask("/api/v1/status/ingest", {}, left, "GET").then(
    ({ data }) => out.replaceChildren(...sections(data.protocols)),
    (error) => error.name === "AbortError" || out.replaceChildren(el("div", { class: "error" }, error.message)),
  );
  return out;
}

function sections(protocols) {
  if (protocols.length === 0) {
    return [el("div", { class: "note" }, "nothing arrived since the server started; see README for how to point Prometheus and OpenTelemetry here")];
  }
  return protocols.map((one) => {
    const stored = [
      ["samples", one.samples],
      ["histograms", one.histograms],
      ["exemplars", one.exemplars],
      ["log entries", one.entries],
      ["bytes of lines", one.lineBytes],
      ["new series", one.seriesCreated],
      ["left out as a replica's", one.deduplicated],
    ];
    const told = stored.filter(([, number]) => number > 0).map(([name, number]) => `${count(number)} ${name}`);
    const late = one.lateness.filter((bucket) => bucket.count > 0);
    return el(
      "section",
      {},
      el("h2", {}, one.protocol),
      el("div", { class: "note" }, [`${count(one.requests)} requests`, ...told, `last ${time(one.lastReceived)}`].join(" · ")),
      rows(one.senders, ["sender", "requests#", "failed#", "stored#", "refused#", "last"], (sender) => [
        sender.sender,
        count(sender.requests),
        count(sender.failedRequests),
        count(sender.stored),
        count(sender.refused),
        time(sender.lastReceived),
      ]),
      rows(one.rejects, ["reason", "refused#", "example"], (reject) => [reject.reason, count(reject.count), reject.example]),
      rows(late, ["late by up to", "arrivals#"], (bucket) => [bucket.le, count(bucket.count)]),
    );
  });
}

function rows(list, columns, cells) {
  return list.length === 0 ? "" : table(columns, list.map(cells));
}

function time(text) {
  return text ? moment(Math.floor(new Date(text).getTime() / 1000)) : "";
}
