// The collection's page: a job followed live; at its end the page shows what has become of it.

import { followed } from "./jobs.js";

const box = document.getElementById("job");
if (box?.dataset.job) followed(box).then(() => location.reload());
