// A job of the service, followed live: `followed(box)` for an element that has data-job, its id.

/** Keeps a <progress> and the words of `[data-told]` inside `box` up to date; resolves with the job at its end. */
export function followed(box) {
  const bar = box.querySelector("progress"), told = box.querySelector("[data-told]");
  return new Promise((resolve) => {
    const events = new EventSource("/jobs/" + box.dataset.job + "/events");
    events.onmessage = (event) => {
      const job = JSON.parse(event.data);
      if (job.total) {
        bar.max = job.total;
        bar.value = job.done;
      } else {
        bar.removeAttribute("value");
      }
      told.textContent = words(job);
      if (job.over) {
        events.close();
        resolve(job);
      }
    };
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED) told.textContent = "The service no longer answers.";
    };
  });
}

export function stopped(box) {
  return fetch("/jobs/" + box.dataset.job + "/stop", { method: "POST" });
}

function words(job) {
  if (job.state === "failed") return job.error;
  if (job.over) return { done: "Done.", stopped: "Stopped." }[job.state];
  const count = job.total ? `${job.done.toLocaleString()} of ${job.total.toLocaleString()}` : job.done.toLocaleString();
  return job.phase ? `${job.phase[0].toUpperCase()}${job.phase.slice(1)}: ${count}` : "Starting";
}
