"use strict";
// Light or dark, as chosen here once; in the head and no module, so that no page flashes in the other colours.

const root = document.documentElement;
root.classList.add("scripted");
// Where a browser forbids storage, a choice lasts as long as the page.
const stored = (use) => {
  try {
    return use(localStorage);
  } catch {
    return null;
  }
};
const kept = stored((storage) => storage.getItem("theme"));
if (kept === "light" || kept === "dark") root.dataset.theme = kept;

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    stored((storage) => storage.setItem("theme", root.dataset.theme));
  });
});
