const LONGEST = 2000; // ms from Gradio's news of a picture to the picture

/**
 * Brings the overlays of the picture to life: none, up to a line the photograph that the canvas started from or else the mask
 * ("compare"), or four pictures to choose from ("variants").
 *
 * Document events: "view" (its detail is the name; the same name again removes it), "mask" (the canvas changed), "photo" (one
 * became the canvas), "picture" (a new picture is painted, so the four are outdated), "waiting" (for a picture unlike the old
 * one, which is dimmed), "painted" (it is here; its detail is the address where the picture is a file) and "save-twice" (download
 * the picture at twice its size).
 *
 * @param {Element} element Holds picture_views.html, inside #show, whose attribute data-view is the name.
 * @param {boolean} isRestoring Whether the picture that is here is not the visitor's: it is hidden until "restored", an event like
 *   "painted".
 */
export function mountViews(element, isRestoring = false) {
  const frame = element.closest("#show");
  const mask = element.querySelector("canvas");
  const divider = element.querySelector("input");

  function show(name) {
    frame.dataset.view = name;
    for (const button of document.querySelectorAll("#compare-view, #four")) {
      button.setAttribute("aria-pressed", name === (button.id === "four" ? "variants" : "compare"));
    }
    if (name === "compare") copyMask();
  }

  function copyMask() {
    const canvas = document.querySelector("canvas"); // the page's first one is the label canvas
    const photo = document.querySelector("#canvas .photo[src]");
    Object.assign(mask, { width: canvas.width, height: canvas.height });
    const context = mask.getContext("2d");
    context.drawImage(canvas, 0, 0);
    // around the same center as its mask, should the canvas have another format now
    const place = (whole, part) => Math.floor((whole - part) / 2);
    if (photo) context.drawImage(photo, place(mask.width, photo.naturalWidth), place(mask.height, photo.naturalHeight));
    mask.classList.toggle("smooth", photo !== null);
    const name = photo ? "photo" : "mask";
    divider.ariaLabel = `How much of the ${name} to show`;
    divider.title = `Drag: ${name} on the left, picture on the right`;
  }

  /** Waits until the picture of an address is shown, unless another one has come instead. */
  async function isShown(address) {
    const end = performance.now() + LONGEST;
    const image = () => frame.querySelector("#picture img");
    while (image()?.src !== address && performance.now() < end) await new Promise(requestAnimationFrame);
    await image()?.decode().catch(() => {});
  }

  /** Downloads the picture, enlarged smoothly: a model of this size paints another picture at twice the size. */
  function saveTwice() {
    const picture = frame.querySelector("#picture img, canvas#picture");
    const large = document.createElement("canvas");
    large.width = 2 * (picture.naturalWidth ?? picture.width);
    large.height = 2 * (picture.naturalHeight ?? picture.height);
    const context = large.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, large.width, large.height);
    large.toBlob((blob) => {
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: "picture_2x.png" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }, "image/png");
  }

  divider.addEventListener("input", () => element.style.setProperty("--divider", `${divider.value}%`));
  document.addEventListener("view", ({ detail: name }) => show(name === frame.dataset.view ? "" : name));
  document.addEventListener("save-twice", saveTwice);
  document.addEventListener("mask", () => { if (frame.dataset.view === "compare") copyMask(); });
  document.addEventListener("photo", () => frame.scrollIntoView({ behavior: "smooth", block: "nearest" }));
  document.addEventListener("picture", () => { if (frame.dataset.view === "variants") show(""); });
  document.addEventListener("waiting", () => frame.setAttribute("aria-busy", "true"));
  document.addEventListener("painted", async ({ detail: address }) => {
    if (address) await isShown(address);
    frame.removeAttribute("aria-busy");
  });
  document.addEventListener("restored", async ({ detail: address }) => {
    if (address) await isShown(address);
    frame.toggleAttribute("data-restoring", false);
  });
  frame.toggleAttribute("data-restoring", isRestoring);
  show("");
}
