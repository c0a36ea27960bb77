// A script and not a module, so that it runs where modules do not: it says why the page does not start.
(() => {
  let isStarted = false;
  document.addEventListener("started", () => { isStarted = true; });

  function stop(text) {
    document.getElementById("loading-text").textContent = text;
    document.getElementById("progress").hidden = true;
  }

  function fail(reason) {
    if (!isStarted) stop(`The page could not start. ${reason} Reload the page; your mask is kept.`);
  }

  if (location.protocol === "file:") {
    stop("Browsers do not run this page from a file. Run “python -m http.server” in its folder and open http://localhost:8000.");
    return;
  }
  window.addEventListener("error", ({ target, error, message }) => {
    if (target === window) fail(error?.message ?? message);
    else if (target.id === "page") fail("A file of the page could not be loaded.");
  }, true);
  window.addEventListener("unhandledrejection", ({ reason }) => fail(reason?.message ?? reason));
})();
