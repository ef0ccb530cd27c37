// A benchmark that runs is followed live; at its end the page shows its report.

import { followed } from "./jobs.js";

const box = document.querySelector("[data-job]");
if (box) {
  followed(box).then((job) => {
    const address = new URL(location);
    if (job.result?.report) address.searchParams.set("report", job.result.report);
    location.replace(address);
  });
}
