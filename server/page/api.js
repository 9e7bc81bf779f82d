// Requests to the server this page came from.

const tenantBox = () => document.getElementById("tenant").value.trim();

/** What the server refused, in its own words. */
export class Refusal extends Error {}

/** Sends a form by POST, so that long queries pass, and gives the answer's JSON. */
export async function ask(path, parameters, signal, method = "POST") {
  const answer = await send(path, parameters, signal, method);
  const body = await answer.text();
  let json;
  try {
    json = JSON.parse(body);
  } catch {
    throw new Refusal(body.trim() || `${answer.status} ${answer.statusText}`);
  }
  if (json.status === "error") throw new Refusal(json.error);
  if (!answer.ok) throw new Refusal(json.message ?? body);
  return json;
}

/** The answer of an endpoint that gives lines of JSON, as a list of results. */
export async function askLines(path, parameters, signal) {
  const answer = await send(path, parameters, signal, "POST");
  if (!answer.ok) throw new Refusal(await answer.text());
  const lines = (await answer.text()).split("\n").filter((line) => line !== "");
  return lines.flatMap((line) => JSON.parse(line).results ?? []);
}

async function send(path, parameters, signal, method) {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) if (one !== "" && one != null) form.append(name, one);
  }
  const headers = tenantBox() === "" ? {} : { "X-Scope-OrgID": tenantBox() };
  const url = method === "GET" && form.size > 0 ? `${path}?${form}` : path;
  const body = method === "GET" ? undefined : form;
  try {
    return await fetch(url, { method, headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(`the server does not answer: ${error.message}`);
  }
}
