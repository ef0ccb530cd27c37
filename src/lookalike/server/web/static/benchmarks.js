// A benchmark that runs is followed live; at its end the page shows its report.

import { followed, stopped } from "./jobs.js";

const box = document.querySelector("[data-job]"), stop = document.getElementById("stop");
if (box) {
  stop.hidden = false;
  stop.addEventListener("click", () => { stop.disabled = true; stopped(box); });
  followed(box).then((job) => {
    const address = new URL(location);
    if (job.result?.report) address.searchParams.set("report", job.result.report);
    location.replace(address);
  });
}
