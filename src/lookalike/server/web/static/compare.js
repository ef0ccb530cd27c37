// The compare page: pictures brought as one likes, why they match fetched after the scores, and the slider.

import { brought, kept } from "./pictures.js";

const told = document.getElementById("told"), explained = document.getElementById("explained");
const slots = [...document.querySelectorAll(".slot")];

function tell(text, bad = false) {
  told.textContent = text;
  told.classList.toggle("bad", bad);
  told.hidden = !text;
}

const fail = (error) => tell(error.message, true);

function put(side, id) {
  const address = new URL(location.href);
  address.searchParams.set(side, id);
  location.assign(address);
}

/** Where a picture goes that is brought: to the slot that it is dropped on, else to the first that is empty. */
function sideOf(target) {
  const slot = target?.closest?.(".slot") || slots.find((each) => !each.querySelector("img")) || slots[1];
  return slot.dataset.side;
}

function wiping(within) {
  for (const wipe of within.querySelectorAll(".wipe")) {
    const over = wipe.previousElementSibling, slider = wipe.querySelector("input");
    const cut = () => over.style.setProperty("--cut", slider.value + "%");
    wipe.hidden = false;
    slider.addEventListener("input", cut);
    cut();
  }
}

async function explain(waits) {
  let page;
  try {
    const answer = await fetch(waits, { headers: { Accept: "text/html" } });
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    fail(new Error("The service does not answer: is it still running?"));
    return;
  }
  const problem = page.querySelector("[role=alert]");
  if (problem) {
    fail(new Error(problem.textContent));
    return;
  }
  explained.replaceChildren(...page.getElementById("explained").childNodes);
  wiping(explained);
  tell("");
}

for (const slot of slots) {
  slot.querySelector("[type=file]").addEventListener("change", async (event) => {
    try {
      put(slot.dataset.side, await kept(event.target.files[0]));
    } catch (error) {
      fail(error);
    }
  });
}
brought((id, target) => put(sideOf(target), id), fail);
document.querySelector(".how")?.addEventListener("change", (event) => event.currentTarget.requestSubmit());
wiping(explained);
if (explained.dataset.waits) explain(explained.dataset.waits);
