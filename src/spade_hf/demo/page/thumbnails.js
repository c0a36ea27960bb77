/**
 * Marks the chosen ones of the Gradio page's thumbnails, and tells which one is clicked.
 *
 * @param {Element} element Holds thumbnails.html.
 * @param {{value: string | null}} props The names of the chosen ones, separated by commas.
 * @param {(name: string, data: object) => void} trigger Called with "select" and the {index, value} of the clicked one.
 * @param {(name: string, watcher: () => void) => void} watch Takes what to call when the value has changed.
 */
export function mountThumbnails(element, props, trigger, watch) {
  function mark() {
    const chosen = (props.value ?? "").split(",");
    for (const button of element.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", chosen.includes(button.title));
    }
  }
  watch("value", mark);
  mark();
  element.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) trigger("select", { index: Number(button.dataset.index), value: button.title });
  });
}
