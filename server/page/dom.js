// Building elements. Text goes in as text, never as markup: labels and log lines are anybody's.

/** An element; attributes that are functions listen to the event of their name. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A table; `columns` are titles, those that end in "#" hold numbers. */
export function table(columns, rows) {
  const kind = (i) => (columns[i].endsWith("#") ? { class: "number" } : {});
  const head = columns.map((title, i) => el("th", kind(i), title.replace(/#$/, "")));
  const body = rows.map((row) => el("tr", {}, ...row.map((cell, i) => el("td", kind(i), cell))));
  return el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body));
}

/** `{a="b"}` with the metric's name before it, as PromQL writes it. */
export function labelText(labels) {
  const { __name__: name = "", ...rest } = labels;
  const pairs = Object.entries(rest).map(([key, value]) => `${quoted(key)}=${JSON.stringify(value)}`);
  if (name !== "" && quoted(name) !== name) pairs.unshift(JSON.stringify(name));
  const plain = quoted(name) === name ? name : "";
  return pairs.length > 0 || plain === "" ? `${plain}{${pairs.join(", ")}}` : plain;
}

function quoted(name) {
  return /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name) ? name : JSON.stringify(name);
}

export function count(number) {
  return Number(number).toLocaleString("en");
}
