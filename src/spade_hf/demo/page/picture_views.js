/**
 * Brings the overlays of the picture to life: none, the mask up to a line ("compare"), or four pictures to choose from
 * ("variants").
 *
 * Document events: "view" (its detail is the name; the same name again removes it), "mask" (the canvas changed), "picture" (a
 * new picture is painted, so the four are outdated).
 *
 * @param {Element} element Holds picture_views.html, inside #show, whose attribute data-view is the name.
 */
export function mountViews(element) {
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
    Object.assign(mask, { width: canvas.width, height: canvas.height });
    mask.getContext("2d").drawImage(canvas, 0, 0);
  }

  divider.addEventListener("input", () => element.style.setProperty("--divider", `${divider.value}%`));
  document.addEventListener("view", ({ detail: name }) => show(name === frame.dataset.view ? "" : name));
  document.addEventListener("mask", () => { if (frame.dataset.view === "compare") copyMask(); });
  document.addEventListener("picture", () => { if (frame.dataset.view === "variants") show(""); });
  show("");
}
