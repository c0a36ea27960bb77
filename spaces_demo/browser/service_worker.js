// Keeps the whole page, the model included, so that it works offline. build.py writes VERSION and FILES before this.

const OURS = `paint-with-labels ${self.registration.scope} `; // other pages of this origin have their own
const CACHE = OURS + VERSION;

/** Fetches a version's files; of those without the version in their name, the browser can hold older ones. */
async function install() {
  const cache = await caches.open(CACHE);
  const isVersioned = (name) => name.startsWith(`${VERSION}/`);
  await cache.addAll(FILES.map((name) => new Request(name, { cache: isVersioned(name) ? "default" : "reload" })));
  const page = await (await cache.match("./")).text();
  if (!page.includes(VERSION)) throw new Error("The page is of another version."); // the next visit tries again
  await self.skipWaiting();
}

async function activate() {
  const outdated = (await caches.keys()).filter((name) => name.startsWith(OURS) && name !== CACHE);
  await Promise.all(outdated.map((name) => caches.delete(name)));
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => event.respondWith(answer(event.request)));
