// Keys for the four answers: the arrows and S.

const answers = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", s: "skip", S: "skip" };
const ballot = document.getElementById("ballot");

document.addEventListener("keydown", (event) => {
  const answer = answers[event.key];
  const elsewhere = event.target.closest("input, select, textarea, .scroll");
  if (!ballot || !answer || elsewhere || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  ballot.requestSubmit(ballot.querySelector(`button[value=${answer}]`));
});

// One vote a ballot, however often it is pressed.
ballot?.addEventListener("submit", (event) => {
  if (ballot.dataset.sent) event.preventDefault();
  ballot.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => { if (ballot) delete ballot.dataset.sent; });
