// Durations and moments, as Prometheus writes them.

const UNITS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };

/** Seconds of `1h30m`; NaN if it is no duration. */
export function seconds(text) {
  if (!/^(\d+(ms|[smhdwy]))+$/.test(text)) return NaN;
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+)(ms|[smhdwy])/g)) sum += Number(number) * UNITS[unit];
  return sum;
}

/** A step with about `points` of them in `range` seconds, at least `least`. */
export function step(range, points, least = 1) {
  const nice = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
  const wanted = Math.max(range / points, least);
  return nice.find((one) => one >= wanted) ?? Math.ceil(wanted / 86400) * 86400;
}

/** Local time of seconds since the epoch; with milliseconds if it has any. */
export function moment(at) {
  const date = new Date(at * 1000);
  const two = (number, digits = 2) => String(number).padStart(digits, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const millis = date.getMilliseconds() > 0 ? `.${two(date.getMilliseconds(), 3)}` : "";
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${millis}`;
}

/** A short label on an axis that spans `range` seconds. */
export function tick(at, range) {
  const whole = moment(at);
  if (range > 3 * 86400) return whole.slice(5, 10);
  return range > 86400 ? whole.slice(5, 16) : range > 600 ? whole.slice(11, 16) : whole.slice(11, 19);
}
