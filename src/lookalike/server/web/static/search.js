// The search page. All it does can be done without it: this makes it quicker, and lets pictures be brought as one likes.

import { cropping } from "./crop.js";
import { first, settle, walkable } from "./hits.js";
import { brought, camera, kept } from "./pictures.js";

const byId = (id) => document.getElementById(id);
const ask = byId("ask"), results = byId("results"), told = byId("told"), words = byId("words");

function tell(text, bad = false) {
  told.textContent = text;
  told.classList.toggle("bad", bad);
  told.hidden = !text;
}

const fail = (error) => tell(error.message, true);

/** The address of what the form asks for now, with some of it changed; what is as usual is left out. */
function address(changes = {}) {
  const fields = new URLSearchParams(new FormData(ask));
  for (const [name, value] of Object.entries(changes)) fields.set(name, value);
  for (const [name, value] of [...fields]) if (!value || (name === "k" && value === "20")) fields.delete(name);
  const models = [...ask.querySelectorAll("[name=model]")];
  if (models.every((box) => box.checked)) fields.delete("model");
  return "/search?" + fields;
}

function searchBy(id) {
  location.assign(address({ image: id, crop: "", text: "", not: "" }));
}

async function searchByFile(file) {
  tell("Looking …");
  try {
    searchBy(await kept(file));
  } catch (error) {
    fail(error);
  }
}

async function verify(waits) {
  const focused = document.activeElement.closest?.(".by")?.getAttribute("href");
  let page;
  try {
    const answer = await fetch(waits, { headers: { Accept: "text/html" } });
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    fail(new Error("The hits could not be verified: the service does not answer."));
    return;
  }
  const problem = page.querySelector("[role=alert]"), verified = page.getElementById("results");
  if (problem || !verified) {
    fail(new Error("The hits could not be verified: " + (problem || page.querySelector("main")).textContent.trim()));
    return;
  }
  results.replaceChildren(...verified.childNodes);
  settle(results);
  tell("");
  if (focused) [...results.querySelectorAll(".by")].find((link) => link.getAttribute("href") === focused)?.focus();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    (words.disabled ? byId("file") : words).focus();
  } else if (event.key === "ArrowDown" && (event.target === words || event.target === document.body)) {
    const hit = first(results);
    if (hit) event.preventDefault();
    hit?.focus();
  } else if (event.key === "Escape") {
    if (typing && typing.value) return; // the browser's own way: it empties the field
    if (typing) typing.blur();
    else if (new URLSearchParams(location.search).has("image") || words.value) {
      location.assign(address({ image: "", crop: "", text: "", not: "" }));
    }
  }
}

if (ask) {
  ask.addEventListener("submit", (event) => {
    event.preventDefault();
    location.assign(address());
  });
  byId("settings").addEventListener("change", (event) => {
    const atOnce = ["verify", "collapse", "k", "folder", "collection"].includes(event.target.name);
    if (atOnce && new URLSearchParams(address().split("?")[1]).size > 1) ask.requestSubmit();
  });
  byId("file").addEventListener("change", (event) => searchByFile(event.target.files[0]));
  brought(searchBy, fail);
  camera(byId("camera"), byId("shutter"), searchByFile, fail);
  const place = byId("crop");
  if (place) cropping(place, ask.elements.crop, byId("crop-told"), () => ask.requestSubmit());
  document.addEventListener("keydown", pressed);
  walkable(results);
  if (results.dataset.waits) verify(results.dataset.waits);
}
