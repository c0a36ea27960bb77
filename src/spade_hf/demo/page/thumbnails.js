/**
 * Fills a row with small named images to choose from. Its last place is for the visitor's own style, once there is one.
 *
 * A click marks its button at once, before the page answers. The browser keeps the own style through a reload.
 *
 * @param {Element} row An element of the class "thumbnails".
 * @param {object} props `items` ({name, image} each, the image a URL), the key `storage` of the own style, and `value`: what
 *   changes, of `chosen` (the name to mark, or ""), `own` (the own style: {name, latents} and perhaps its `image`) and
 *   `painted` ({name, image}: what was painted in the own style, to be shown if it has no image).
 * @param {(name: string, data: object) => void} trigger Called with "select" and the {index, value} of the clicked one: the
 *   value is its name, or the own style, whose index follows the items'.
 * @param {(name: string, watcher: () => void) => void} watch Takes what to call when `props.value` has changed.
 */
export function mountThumbnails(row, props, trigger, watch) {
  const { items, storage } = props;
  let own = null, ownButton = null;

  function addButton() {
    const button = document.createElement("button");
    button.type = "button";
    button.innerHTML = '<img alt="" draggable="false"><span></span>';
    row.append(button);
    return button;
  }

  function fill(button, { name, image }, caption = name) {
    button.title = button.dataset.name = name;
    button.lastChild.textContent = caption;
    if (image) button.firstChild.src = image;
    else button.firstChild.removeAttribute("src");
  }

  function showOwn(style) {
    own = style;
    ownButton ??= addButton();
    fill(ownButton, own, /^seed \d/.test(own.name) ? "random" : "yours");
  }

  function keepOwn() {
    try { localStorage.setItem(storage, JSON.stringify(own)); } catch { /* full or forbidden */ }
  }

  function restoreOwn() {
    try {
      const kept = JSON.parse(localStorage.getItem(storage));
      if (Array.isArray(kept?.latents)) showOwn(kept);
    } catch { /* the browser cannot keep anything */ }
  }

  function mark(name) {
    for (const button of row.children) button.setAttribute("aria-pressed", button.dataset.name === name);
  }

  function change({ chosen, own: style, painted }) {
    if (style) {
      const isSame = String(style.latents) === String(own?.latents);
      showOwn({ ...style, image: style.image ?? (isSame ? own.image : undefined) });
    }
    if (painted && painted.name === own?.name && !own.image) showOwn({ ...own, image: painted.image });
    if (style || painted) keepOwn();
    if (chosen !== undefined) mark(chosen);
  }

  for (const item of items) fill(addButton(), item);
  if (storage) restoreOwn();
  watch("value", () => change(props.value));
  change(props.value);
  row.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    props.value = { chosen: button.dataset.name };
    change(props.value);
    const value = button === ownButton ? { name: own.name, latents: own.latents } : button.dataset.name;
    trigger("select", { index: [...row.children].indexOf(button), value });
  });
}
