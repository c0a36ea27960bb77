// A phone's photographs are larger than the server accepts, and than a style or a canvas needs: they are reduced before the upload.
// A mask's labels must not be blended, so "Open a mask or a scene" reduces only what is lossy and would be refused.

const ENOUGH_BYTES = 1e6, MOST_BYTES = 5 * 2 ** 20, SIDE = 1024; // MOST_BYTES: the server's limit
const LOSSY = ["image/jpeg", "image/heic", "image/heif", "image/avif"];

const isPhoto = (input) => ["own", "photo"].includes(input.nextElementSibling?.id); // Gradio puts the input before its button

/** Whether a file, of `size` bytes and a MIME `type`, is made smaller: as a photograph, or as a mask. */
export function isReduced({ size, type }, asPhoto) {
  return asPhoto
    ? size > ENOUGH_BYTES && type.startsWith("image/") && type !== "image/png"
    : size > MOST_BYTES && LOSSY.includes(type);
}

async function smaller(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.round(scale * bitmap.width), height: Math.round(scale * bitmap.height) });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return new File([blob], file.name, { type: "image/jpeg" });
}

/** From now on, reduces what a file input of the page is given. */
export function shrinkUploads() {
  const passed = new WeakSet(); // files that were handled already

  document.addEventListener("change", async (event) => {
    const input = event.target;
    const [file] = input.type === "file" ? input.files : [];
    if (!file || passed.has(file) || !isReduced(file, isPhoto(input))) return;
    event.stopImmediatePropagation();
    const files = new DataTransfer();
    try { files.items.add(await smaller(file)); }
    catch { files.items.add(file); } // this browser cannot read it: the server's message says what is allowed
    input.files = files.files;
    passed.add(input.files[0]);
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, { capture: true });
}
