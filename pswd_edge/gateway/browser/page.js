"use strict";
// Reads openapi.json beside this page and makes the page of it. Text goes in as text, never as HTML.
const base = location.pathname.replace(/\/docs$/, "");
const find = (id) => document.getElementById(id);

function make(tag, attributes, ...inner) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) if (value !== undefined) made.setAttribute(name, value);
  made.append(...inner.filter((item) => item !== undefined && item !== ""));
  return made;
}

let api;
const meant = (found) => {
  while (found && found.$ref) {
    const { $ref, ...own } = found;
    found = { ...$ref.slice(2).split("/").reduce((here, part) => here[part], api), ...own };
  }
  return found || {};
};

function kindOf(schema) {
  if (schema.enum || schema.const !== undefined) return (schema.enum || [schema.const]).map(String).join(" | ");
  const bounds = [["minimum", "≥"], ["exclusiveMinimum", ">"], ["maximum", "≤"], ["exclusiveMaximum", "<"]]
    .filter(([name]) => schema[name] !== undefined).map(([name, sign]) => `${sign} ${schema[name]}`);
  const choices = (schema.anyOf || []).map((one) => kindOf(meant(one))).join(" or ");
  return [choices || schema.format || schema.type || "any", ...bounds].join(" ");
}

function fieldsOf(schema, depth = 0) {
  schema = meant(schema);
  if (schema.type === "array") return make("ul", {}, make("li", {}, "each: ", ...fieldOf(schema.items, depth)));
  const needed = schema.required || [];
  return make("ul", {}, ...Object.entries(schema.properties || {}).map(([name, rule]) => make("li", {},
    make("code", {}, name), needed.includes(name) ? make("span", { class: "needed" }, " *") : "", " ",
    ...fieldOf(rule, depth))));
}

function fieldOf(rule, depth) {
  const schema = meant(rule), inner = schema.type === "array" ? meant(schema.items) : schema;
  const said = [make("span", { class: "soft" }, schema.type === "array" ? `list of ${kindOf(inner)}` : kindOf(schema)),
    rule.description ? ` — ${rule.description}` : ""];
  return inner.properties && depth < 6 ? [...said, fieldsOf(inner, depth + 1)] : said;
}

function exampleOf(schema, depth = 0) {
  schema = meant(schema);
  if (schema.default !== undefined && typeof schema.default !== "object") return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.anyOf) return exampleOf(schema.anyOf[0], depth);
  if (schema.type === "array") return depth < 5 ? [exampleOf(schema.items, depth + 1)] : [];
  if (schema.type === "object") {
    const names = Object.keys(schema.properties || {}).filter((name) => (schema.required || []).includes(name));
    return Object.fromEntries(names.map((name) => [name, exampleOf(schema.properties[name], depth + 1)]));
  }
  if (schema.format === "date-time") return new Date().toISOString();
  return { string: "", integer: schema.minimum ?? 0, number: schema.minimum ?? 0, boolean: false }[schema.type] ?? null;
}

function headersOf(body) {
  const headers = {}, token = find("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  return headers;
}

async function send(method, path, body, shown) {
  shown.replaceChildren("…");
  const began = performance.now();
  try {
    const answer = await fetch(base + path, { method, body, headers: headersOf(body), credentials: "omit" });
    let text = await answer.text();
    try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* as it came */ }
    const more = text.length > 20000 ? `\n… ${text.length - 20000} characters more` : "";
    shown.replaceChildren(
      make("p", {}, make("span", { class: answer.ok ? "status" : "status bad" }, `${answer.status}`),
        ` in ${Math.round(performance.now() - began)} ms, request id ${answer.headers.get("X-Request-ID")}`),
      make("pre", { tabindex: 0 }, text.slice(0, 20000) + more));
  } catch (error) { shown.replaceChildren(make("p", { class: "status bad" }, `No answer: ${error.message}`)); }
}

function tryIt(method, path, operation, parameters) {
  const schema = operation.requestBody && operation.requestBody.content["application/json"].schema;
  const own = parameters.filter((parameter) => parameter.in !== "header");
  const inputs = own.map((parameter) => make("input", { name: parameter.name, value: meant(parameter.schema).default }));
  const body = schema && make("textarea", { spellcheck: "false", "aria-label": "Body" });
  if (body) body.value = JSON.stringify(exampleOf(schema), null, 2);
  const shown = make("div", { "aria-live": "polite" });
  const form = make("form", {}, ...own.map((p, i) => make("label", {}, p.name, inputs[i])), body || "",
    make("p", {}, make("button", {}, `Send ${method.toUpperCase()}`)), shown);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    let where = path;
    const query = new URLSearchParams();
    own.forEach((p, i) => {
      if (p.in === "path") where = where.replace(`{${p.name}}`, encodeURIComponent(inputs[i].value));
      else if (inputs[i].value !== "") query.set(p.name, inputs[i].value);
    });
    send(method.toUpperCase(), where + (query.size ? `?${query}` : ""), body && body.value, shown);
  });
  return form;
}

function operationOf(method, path, operation) {
  const parameters = (operation.parameters || []).map(meant);
  const good = Object.entries(operation.responses).map(([status, said]) => [status, meant(said)]);
  const answer = (good.find(([, said]) => said.content) || [, {}])[1].content;
  const card = make("details", { class: "operation" }, make("summary", {},
    make("span", { class: `method ${method}` }, operation["x-websocket"] ? "WS" : method.toUpperCase()), " ",
    make("code", {}, path), make("span", { class: "soft" }, ` ${operation.summary || ""}`)));
  card.addEventListener("toggle", () => {    // filled when it is opened first: all at once would take long
    if (!card.open || card.children.length > 1) return;
    const allowed = operation["x-allowed"];
    card.append(make("p", { class: "soft" }, allowed ? `For ${allowed.join(", ") || "nobody"}. ` : "For everybody. ",
      `Counted as ${operation["x-rate-category"]}.`));
    if (parameters.length) card.append(make("h3", {}, "Parameters"), make("ul", {}, ...parameters.map((p) =>
      make("li", {}, make("code", {}, p.name), p.required ? make("span", { class: "needed" }, " *") : "",
        make("span", { class: "soft" }, ` ${p.in}, ${kindOf(meant(p.schema))}`), p.description ? ` — ${p.description}` : ""))));
    const schema = operation.requestBody && operation.requestBody.content["application/json"].schema;
    if (schema) card.append(make("h3", {}, "Body"), fieldsOf(schema));
    const shape = operation["x-message"] || (answer && answer["application/json"].schema);
    if (shape) card.append(make("h3", {}, operation["x-websocket"] ? "Message" : "Answer"), fieldsOf(shape));
    card.append(make("h3", {}, "Statuses"), make("ul", {}, ...good.map(([status, said]) =>
      make("li", {}, make("code", {}, status), ` ${said.description}`))));
    if (!operation["x-websocket"]) card.append(make("h3", {}, "Try it"), tryIt(method, path, operation, parameters));
  });
  card.dataset.words = `${method} ${path} ${operation.summary}`.toLowerCase();
  return card;
}

function show() {
  find("about").textContent = `${api.info.description} Version ${api.info.version}.`;
  const main = find("operations"), all = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })));
  main.replaceChildren(...api.tags.map((tag) => make("section", {},
    make("h2", {}, tag.name, make("small", {}, ` ${tag.description}`)),
    ...all.filter((one) => one.operation.tags.includes(tag.name))
      .map((one) => operationOf(one.method, one.path, one.operation)))));
}

function offerLogin() {
  const login = (api.paths["/auth/login"] || {}).post, form = find("login");
  if (!login) return;
  const roles = meant(meant(login.requestBody.content["application/json"].schema).properties.role).enum;
  form.role.append(...roles.map((role) => make("option", {}, role)));
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch(`${base}/auth/login`, { method: "POST", credentials: "omit",
      headers: { "Content-Type": "application/json" }, body: JSON.stringify(Object.fromEntries(new FormData(form))) });
    const said = await answer.json();
    form.password.value = "";
    find("token").value = said.access_token || "";
    find("who").textContent = said.access_token ? `${form.username.value} as ${said.role}` : said.message;
  });
}

find("find").addEventListener("input", (event) => {
  const word = event.target.value.trim().toLowerCase();
  for (const card of document.querySelectorAll(".operation")) card.hidden = !card.dataset.words.includes(word);
  for (const part of document.querySelectorAll("section")) part.hidden = !part.querySelector(".operation:not([hidden])");
});
fetch(`${base}/openapi.json`).then((answer) => answer.json()).then((found) => { api = found; show(); offerLogin(); })
  .catch((error) => find("operations").replaceChildren(make("p", { class: "status bad" }, `openapi.json: ${error.message}`)));
