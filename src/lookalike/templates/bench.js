// Shows the answers of any two entries. The first two are in the page already, in the same shape.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const kinds = ["only_a", "only_b", "neither", "both"];
const mirrored = { only_a: "only_b", only_b: "only_a", neither: "neither", both: "both" };
const chosen = { a: document.getElementById("choose-a"), b: document.getElementById("choose-b") };
const signs = { right: " ✓", tied: " =", wrong: " ✗" };

function made(tag, text, kind) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function picture(number, words) {
  if (number === null) return made("span", "no picture", "gone");
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  const attributes = { class: "picture", viewBox: "0 0 100 75", role: "img", "aria-label": words };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  use.setAttribute("href", "#p" + number);
  svg.append(use);
  return svg;
}

function shown(label, number, words, verdict) {
  const figure = made("figure", "", verdict);
  const caption = made("p", "", "fine");
  caption.title = words;
  caption.append(made("bdi", words));
  figure.append(made("figcaption", label), picture(number, words || label), caption);
  return figure;
}

function answered(letter, model, query) {
  const [name, , verdict, number] = data.answers[model][query];
  if (name === null) return shown(letter, null, "found nothing", "wrong");
  const words = name + (verdict === "tied" ? " (tied with others)" : "");
  return shown(letter + signs[verdict], number, words, verdict === "right" ? "right" : "wrong");
}

function listed(query, a, b) {
  const [heading, truth, its, match] = data.queries[query];
  const item = made("li"), parts = made("div");
  parts.append(shown("Query", its, ""), shown("Match", match, truth), answered("A", a, query), answered("B", b, query));
  item.append(made("h4", heading), parts);
  return item;
}

function show() {
  const a = Number(chosen.a.value), b = Number(chosen.b.value);
  const pair = data.pairs[Math.min(a, b) + "-" + Math.max(a, b)];
  const compared = document.getElementById("compared");
  compared.className = pair ? "chosen" : "";
  compared.replaceChildren(...(pair
    ? [made("b", "A"), " " + data.models[a], made("br"), made("b", "B"), " " + data.models[b]]
    : ["Choose two different entries."]));
  for (const kind of kinds) {
    const list = document.getElementById(kind);
    list.hidden = !pair;
    if (!pair) continue;
    const [total, queries] = pair[kinds.indexOf(a < b ? kind : mirrored[kind])];
    list.querySelector(".count").textContent = total;
    list.querySelector(".cases").replaceChildren(...queries.map((query) => listed(query, a, b)));
  }
}

document.querySelector(".choice").hidden = false;
document.getElementById("compared").className = "chosen";
for (const select of Object.values(chosen)) select.addEventListener("change", show);
