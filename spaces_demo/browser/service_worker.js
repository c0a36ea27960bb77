// Keeps the whole page, the model included, so that it works offline. build.py writes VERSION and FILES before this.

const CACHE = `paint-with-labels-${VERSION}`;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const outdated = caches.keys().then((names) => names.filter((name) => name !== CACHE));
  event.waitUntil(outdated.then((names) => Promise.all(names.map((name) => caches.delete(name)))));
});

self.addEventListener("fetch", (event) => {
  event.respondWith(caches.match(event.request, { ignoreSearch: true }).then((kept) => kept ?? fetch(event.request)));
});
