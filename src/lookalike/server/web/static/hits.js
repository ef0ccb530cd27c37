// Hits by keyboard: the arrows go from one to the nearest in that direction, Tab to what can be done with it.

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Makes the hits within `results` one stop of the Tab key for each list. */
export function walkable(results) {
  settle(results);
  results.addEventListener("keydown", (event) => {
    const way = WAYS[event.key], link = event.target.closest(".by");
    if (!way || !link || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    nearest(results, link.closest(".hit"), way)?.focus();
  });
  results.addEventListener("focusin", (event) => {
    const hit = event.target.closest(".hit");
    if (!hit) return;
    for (const other of hit.parentElement.querySelectorAll(".hit > .by[tabindex='0']")) reach(other.parentElement, -1);
    reach(hit, 0);
  });
}

/** To be called again when the hits are others. */
export function settle(results) {
  for (const list of results.querySelectorAll(".hits")) {
    [...list.children].forEach((hit, i) => reach(hit, i ? -1 : 0));
  }
}

export function first(results) {
  return results.querySelector(".by");
}

function reach(hit, index) {
  for (const link of hit.querySelectorAll("a")) link.tabIndex = index;
}

function nearest(results, from, [x, y]) {
  const own = centre(from);
  let best = null, least = Infinity;
  for (const hit of results.querySelectorAll(".hit")) {
    const other = centre(hit);
    const along = (other.x - own.x) * x + (other.y - own.y) * y;
    const aside = Math.abs((other.x - own.x) * y) + Math.abs((other.y - own.y) * x);
    if (along <= 4) continue;
    const far = along + 4 * aside; // straight ahead first
    if (far < least) [best, least] = [hit, far];
  }
  return best?.querySelector(".by");
}

/** Of a hit, not of what is in it: that would have to be laid out first, where it is out of sight. */
function centre(hit) {
  const area = hit.getBoundingClientRect();
  return { x: area.left + area.width / 2, y: area.top + area.height / 2 };
}
