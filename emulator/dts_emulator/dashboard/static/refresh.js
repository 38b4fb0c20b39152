// Keeps the page fresh: asks for it again every two seconds and changes only what differs,
// so that scroll position, focus, open disclosures and half-written forms stay.
// Shows times in the reader's own zone; UTC stays in `datetime` and on hover.
"use strict";

const EVERY = 2000;
const PATIENCE = 10000;
const main = document.querySelector("main");
const note = document.getElementById("freshness");
const button = document.getElementById("pause");
let paused = sessionStorage.getItem("paused") === "yes";
let gone = false;

function live() {
  return main.dataset.live === "yes" && !gone;
}

function say(words, state) {
  if (note.textContent !== words) note.textContent = words;
  note.className = state;
}

function showState() {
  button.hidden = !live();
  button.setAttribute("aria-pressed", String(paused));
  if (gone) return;
  if (!live()) say("", "");
  else if (paused) say("Paused", "paused");
  else say("Live", "live");
}

// Times

const pad = (number, length) => String(number).padStart(length, "0");

const styles = {
  clock: (t) =>
    `${t.getFullYear()}-${pad(t.getMonth() + 1, 2)}-${pad(t.getDate(), 2)} ` +
    `${pad(t.getHours(), 2)}:${pad(t.getMinutes(), 2)}:${pad(t.getSeconds(), 2)}`,
  precise: (t) =>
    `${pad(t.getHours(), 2)}:${pad(t.getMinutes(), 2)}:${pad(t.getSeconds(), 2)}.` +
    pad(t.getMilliseconds(), 3),
};

function zoneName() {
  const parts = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(new Date());
  return parts.find((part) => part.type === "timeZoneName").value;
}

function useLocalTimes(part) {
  for (const time of part.querySelectorAll("time[data-local]")) {
    time.textContent = styles[time.dataset.local](new Date(time.dateTime));
  }
  const zone = zoneName();
  for (const place of part.querySelectorAll("[data-zone]")) place.textContent = zone;
}

// Changing only what differs

function alike(old, fresh) {
  return old.nodeName === fresh.nodeName && old.id === fresh.id;
}

function update(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  updateAttributes(old, fresh);
  updateChildren(old, fresh);
}

function updateAttributes(old, fresh) {
  const theReaders = (name) => name === "open";
  for (const { name } of [...old.attributes]) {
    if (!theReaders(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (!theReaders(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

// Elements with an ID are matched by it, all others by their place.
function updateChildren(old, fresh) {
  const known = new Map([...old.children].filter((e) => e.id).map((e) => [e.id, e]));
  let place = old.firstChild;
  const drop = () => {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  };
  for (const child of [...fresh.childNodes]) {
    const kept = child.id && known.get(child.id);
    if (kept && kept.isConnected) while (place && place !== kept) drop();
    if (place && alike(place, child)) {
      const next = place.nextSibling;
      update(place, child);
      place = next;
    } else {
      old.insertBefore(child, place);
    }
  }
  while (place) drop();
}

// Asking again

async function refresh() {
  const answer = await fetch(location.href, {
    headers: { Accept: "text/html" },
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (answer.status === 404) {
    gone = true;
    say("This instance no longer exists (purged, or the emulator restarted). Showing its last known state.", "failing");
    showState();
    return;
  }
  if (!answer.ok) throw new Error(`the dashboard answered ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (paused) return;
  useLocalTimes(page);
  update(main, page.querySelector("main"));
  showState();
}

async function keepRefreshing() {
  if (!live()) return;
  if (!paused && !document.hidden) {
    try {
      await refresh();
    } catch (problem) {
      say(`Not refreshed: ${problem.message}. Trying again.`, "failing");
    }
  }
  setTimeout(keepRefreshing, EVERY);
}

button.addEventListener("click", () => {
  paused = !paused;
  sessionStorage.setItem("paused", paused ? "yes" : "no");
  showState();
});

// What has just been done is said once, not again when the page is reloaded.
const address = new URL(location.href);
if (address.searchParams.has("done") || address.searchParams.has("purged")) {
  address.searchParams.delete("done");
  address.searchParams.delete("purged");
  history.replaceState(null, "", address);
}

// A link to an event leads into a turn that may be closed.
function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const turn = target && target.closest("details");
  if (turn) turn.open = true;
}

addEventListener("hashchange", openTarget);
openTarget();
useLocalTimes(document);
showState();
if (live()) setTimeout(keepRefreshing, EVERY);
