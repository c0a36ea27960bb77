// The model as the page sees it: a worker (painter.js) that answers questions, and the notice over the picture while it loads.

const $ = (id) => document.getElementById(id);

export class Model {
  #config;
  #onReady;
  #worker = null;
  #number = 0;
  #waiting = new Map(); // number of a question -> what to do with the answer

  /** `onReady` is called whenever the model has been loaded. */
  constructor(config, onReady) {
    this.#config = config;
    this.#onReady = onReady;
    this.isReady = false;
  }

  /** Loads the model, again if it did not load or does not answer. */
  start() {
    $("loading").hidden = false;
    $("retry").hidden = true;
    $("progress").hidden = false;
    $("loading-text").textContent = "Loading the model…";
    this.#worker?.terminate();
    this.isReady = false;
    for (const { reject } of this.#waiting.values()) reject(new Error("The model is being restarted."));
    this.#waiting.clear();
    this.#worker = new Worker(new URL("painter.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => { event.preventDefault?.(); this.#fail("The model could not be started."); };
    this.#worker.postMessage({ type: "load", config: this.#config });
  }

  /** The worker's answer to a message "paint", "encode", "refine" or "segment". */
  ask(message) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#number, { resolve, reject });
      this.#worker.postMessage({ ...message, number: this.#number });
    });
  }

  /** Stops a message "refine", whose answer then has no labels. */
  cancelRefining() {
    if (this.isReady) this.ask({ type: "cancel" }).catch(() => {}); // a model that restarts refines nothing
  }

  #receive(data) {
    if (data.type === "progress") $("progress").value = data.share;
    else if (data.type === "loading") {
      const megabytes = (this.#config.segmenter.bytes / 1e6).toFixed(1);
      $("status").textContent = `Loading what reads photos: ${Math.round(100 * data.share)} % of ${megabytes} MB`;
    }
    else if (data.type === "ready") { this.isReady = true; $("loading").hidden = true; this.#onReady(); }
    else if (data.type === "error" && data.of === "load") this.#fail(data.text);
    else {
      const answer = this.#waiting.get(data.number);
      this.#waiting.delete(data.number);
      if (data.type === "error") { answer.reject(new Error(data.text)); } else answer.resolve(data);
    }
  }

  /** Shows that the model did not load; the canvas stays as it is. */
  #fail(text) {
    $("loading").hidden = false;
    $("progress").hidden = true;
    $("retry").hidden = false;
    const advice = navigator.onLine ? "Try again. If that does not help, reload the page." : "You are offline: connect, then try again.";
    $("loading-text").textContent = `The model could not be loaded. ${text} ${advice} Your mask is kept.`;
  }
}
