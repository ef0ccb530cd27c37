// Pictures that somebody brings: dropped, pasted, chosen, or taken by the camera. Each gets an id of the service's.

const ID = /(?:\/(?:images|thumbnails)\/|[?&]image=)([0-9a-f]{64})/;

/** The id of a picture once the service keeps it. Throws an Error whose message is for people. */
export async function kept(blob) {
  const body = new FormData();
  body.append("picture", blob, blob.name || "picture");
  let answer;
  try {
    answer = await fetch("/v1/uploads", { method: "POST", body });
  } catch {
    throw new Error("The service does not answer: is it still running?");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.detail || "The service refused the picture (" + answer.status + ").");
  return told.id;
}

/** Calls `take(id, target)` for every picture that is dropped on the page or pasted, `fail(error)` where it is none. */
export function brought(take, fail) {
  const use = async (data, target) => {
    const file = [...data.files].find((each) => each.type.startsWith("image/")) || data.files[0];
    const own = file ? null : ownId(data);
    if (!file && !own) return;
    try {
      take(own || await kept(file), target);
    } catch (error) {
      fail(error);
    }
  };
  let inside = 0; // enter and leave are told of every element under way
  const mark = (step) => {
    inside = Math.max(0, inside + step);
    document.documentElement.classList.toggle("dragging", inside > 0);
  };
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-inside);
    use(event.dataTransfer, event.target);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) {
      event.preventDefault();
      use(event.clipboardData, document.activeElement);
    }
  });
}

/** The id of a picture of this service's that is dragged from one of its pages. */
function ownId(data) {
  const address = data.getData("text/uri-list").split("\n")[0];
  return address.startsWith(location.origin + "/") ? (ID.exec(address) || [])[1] : null;
}

/** Shows `button` where there is a camera; a still that is taken in `dialog` goes to `take` as a Blob. */
export async function camera(button, dialog, take, fail) {
  const devices = await navigator.mediaDevices?.enumerateDevices().catch(() => []);
  if (!devices?.some((device) => device.kind === "videoinput")) return;
  const view = dialog.querySelector("video");
  let stream = null;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    } catch {
      fail(new Error("The camera cannot be used: the browser was not allowed to, or another program has it."));
      return;
    }
    view.srcObject = stream;
    dialog.showModal();
  });
  dialog.addEventListener("close", () => stream?.getTracks().forEach((track) => track.stop()));
  dialog.querySelector("#leave").addEventListener("click", () => dialog.close());
  dialog.querySelector("#take").addEventListener("click", () => {
    const still = document.createElement("canvas");
    [still.width, still.height] = [view.videoWidth, view.videoHeight];
    still.getContext("2d").drawImage(view, 0, 0);
    still.toBlob((blob) => {
      dialog.close();
      take(blob);
    }, "image/jpeg", 0.92);
  });
}
