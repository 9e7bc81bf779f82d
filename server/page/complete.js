// Completion of metric names, label names and label values while a query is typed.

import { askLines } from "./api.js";
import { el } from "./dom.js";

const HINTS = 12;

/** What is being typed at the caret: `{kind, text, from, label}`, or null. */
export function context(text, caret) {
  const before = text.slice(0, caret);
  const open = before.lastIndexOf("{");
  if (open > before.lastIndexOf("}")) {
    const inside = before.slice(open + 1);
    const value = /([a-zA-Z_][a-zA-Z0-9_.]*)\s*(?:=|!=|=~|!~)\s*"([^"]*)$/.exec(inside);
    if (value) return { kind: "label_values", label: value[1], text: value[2], from: caret - value[2].length };
    const name = /(?:^|,)\s*([a-zA-Z_][a-zA-Z0-9_]*)$/.exec(inside);
    return name ? { kind: "label_names", text: name[1], from: caret - name[1].length } : null;
  }
  const word = /[a-zA-Z_:][a-zA-Z0-9_:]*$/.exec(before);
  return word && word[0].length >= 2
    ? { kind: "metric_names", text: word[0], from: caret - word[0].length }
    : null;
}

/** Puts a list of completions under `area`; `metrics` is false where metric names have no place. */
export function completed(area, metrics) {
  const list = el("ul", { class: "hints", hidden: true });
  let chosen = 0;
  let place = null;
  let pending = null;
  const close = () => ((list.hidden = true), (place = null));
  const take = (name) => {
    area.setRangeText(name, place.from, area.selectionStart, "end");
    close();
    area.focus();
  };
  const show = (names) => {
    chosen = 0;
    list.replaceChildren(
      ...names.map((name, i) =>
        el("li", { class: i === 0 ? "chosen" : "", mousedown: (event) => (event.preventDefault(), take(name)) }, name),
      ),
    );
    list.hidden = names.length === 0;
  };
  const look = async () => {
    pending?.abort();
    place = area.selectionStart === area.selectionEnd ? context(area.value, area.selectionStart) : null;
    if (!place || (!metrics && place.kind === "metric_names")) return close();
    pending = new AbortController();
    const wanted = { "search[]": place.text, label: place.label, limit: HINTS, sort_by: "score" };
    try {
      const results = await askLines(`/api/v1/search/${place.kind}`, wanted, pending.signal);
      const names = results.map((one) => one.name ?? one.value ?? one);
      if (place) show(names.filter((name) => typeof name === "string" && name !== place.text));
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  };
  area.addEventListener("input", look);
  area.addEventListener("blur", close);
  area.addEventListener("keydown", (event) => {
    if (list.hidden || list.children.length === 0) return;
    if (event.key === "Escape") close();
    else if (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey && !event.ctrlKey)) {
      take(list.children[chosen].textContent);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      list.children[chosen].classList.remove("chosen");
      const by = event.key === "ArrowDown" ? 1 : list.children.length - 1;
      chosen = (chosen + by) % list.children.length;
      list.children[chosen].classList.add("chosen");
      list.children[chosen].scrollIntoView({ block: "nearest" });
    } else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  });
  return el("div", { class: "field" }, area, list);
}
