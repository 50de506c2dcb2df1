// Shows what the server says: one connection brings states, scores and events; pictures are fetched while they are seen.
import { SPAN_S, draw, leaders } from "./curves.js";

const PICTURE_MS = 1000;
const MAX_EVENTS = 200;
const NUM_COLOURS = 6;
const TEXT = {
  connecting: "connecting",
  live: "live",
  stalled: "no frames",
  waiting: "lost, trying again",
  closed: "ended",
};

const find = (selector, root = document) => root.querySelector(selector);
const cameras = new Map();
const events = new Map();
let serverAhead = 0; // seconds that the server's clock is ahead of this one
let shownEvent = null;
const now = () => Date.now() / 1000 + serverAhead;

/** Set text only where it changed: so that nothing is read out or selected anew. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function clock(iso) {
  const time = new Date(iso);
  const today = new Date().toDateString() === time.toDateString();
  const hour = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return today ? hour : `${time.toLocaleDateString([], { day: "numeric", month: "short" })} ${hour}`;
}

function length(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

const percent = (share) => `${Math.round(share * 100)} %`;

// ---- cameras

const watched = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.seen = entry.isIntersecting;
});

function newCamera(name) {
  const card = find("#camera").content.cloneNode(true).firstElementChild;
  find(".name", card).textContent = name;
  find("#cameras").append(card);
  const option = new Option(name, name);
  find("#filter").append(option);
  const camera = { card, option, points: [], colours: new Map(), leading: null };
  const picture = find(".picture", card);
  picture.addEventListener("load", () => card.classList.add("has-picture"));
  picture.addEventListener("error", () => card.classList.remove("has-picture"));
  camera.refresh = () => {
    if (!card.seen || document.hidden || camera.busy || !camera.state?.num_frames) return;
    camera.busy = true;
    const next = new Image();
    const done = () => { camera.busy = false; };
    next.onload = () => { picture.src = next.src; done(); };
    next.onerror = done;
    next.src = `cameras/${encodeURIComponent(name)}/picture.jpg?at=${Date.now()}`;
  };
  card.seen = true;
  watched.observe(card);
  return camera;
}

function showCamera(state) {
  let camera = cameras.get(state.name);
  if (!camera) cameras.set(state.name, (camera = newCamera(state.name)));
  const { card } = camera;
  camera.state = state;
  card.dataset.state = state.state;
  card.classList.toggle("on", state.going_on.length > 0);
  find(".picture", card).alt = `Last picture of ${state.name}`;
  find(".state", card).title = TEXT[state.state];
  const trouble = find(".trouble", card);
  trouble.hidden = state.state === "live";
  say(trouble, state.error && state.state !== "closed" ? `${TEXT[state.state]}: ${state.error}` : TEXT[state.state]);
  say(find(".going", card), state.going_on.join(", "));
  say(find(".leading", card), state.leading ?? "no scores yet");
  say(find(".score", card), state.score === null ? "" : state.score.toFixed(2));
  find("meter", card).value = state.score ?? 0;
  const size = state.size ? `${state.size[1]} × ${state.size[0]}` : "";
  const lag = state.lag_s === null ? "" : `lag ${state.lag_s.toFixed(1)} s`;
  const rate = `${state.fps.toFixed(1)} of ${Number(state.full_fps.toFixed(1))} fps`;
  const again = state.reconnects ? `reconnected ${state.reconnects} ×` : "";
  say(find(".rates", card), [rate, lag, size, again].filter(Boolean).join("  ·  "));
}

function removeCameras(names) {
  for (const [name, camera] of cameras) {
    if (names.has(name)) continue;
    camera.card.remove();
    camera.option.remove();
    cameras.delete(name);
  }
}

function colourOf(camera, label) {
  if (!camera.colours.has(label)) camera.colours.set(label, camera.colours.size % NUM_COLOURS);
  return camera.colours.get(label);
}

function showCurves(name, camera) {
  const at = now();
  camera.points = camera.points.filter(([time]) => time > at - SPAN_S);
  const best = leaders(camera.points).map(([label]) => label);
  const style = getComputedStyle(document.documentElement);
  const colours = new Map(best.map((label) => [label, style.getPropertyValue(`--curve-${colourOf(camera, label)}`)]));
  const canvas = find(".curves", camera.card);
  const spans = [...events.values()]
    .filter((event) => event.source === name)
    .map((event) => [Date.parse(event.started_at) / 1000, event.ended_at ? Date.parse(event.ended_at) / 1000 : at, event.label]);
  draw(canvas, camera.points, best, colours, spans, at);
  canvas.setAttribute("aria-label", `Scores of the last five minutes: ${best.join(", ") || "none yet"}`);
  const key = best.join("\n");
  if (camera.key === key) return;
  camera.key = key;
  find(".legend", camera.card).replaceChildren(...best.map((label) => {
    const item = document.createElement("li");
    item.className = `curve-${colourOf(camera, label)}`;
    item.textContent = label;
    return item;
  }));
}

// ---- events

function showEvent(event) {
  const known = events.get(event.id);
  const item = known?.item ?? find("#event").content.cloneNode(true).firstElementChild;
  const kept = { has_clip: false, ...known, ...event, item };
  events.set(event.id, kept);
  if (!known) {
    find("#event-list").prepend(item);
    find("button", item).addEventListener("click", () => openEvent(event.id));
    while (events.size > MAX_EVENTS) {
      const [oldest, { item: last }] = events.entries().next().value;
      last.remove();
      events.delete(oldest);
    }
  }
  say(find("b", item), kept.label);
  say(find(".where", item), kept.source);
  say(find(".when", item), `${clock(kept.started_at)}${kept.ended_at ? ` · ${length(kept.duration_s)}` : ""}`);
  item.classList.toggle("on", !kept.ended_at);
  say(find(".badge", item), kept.ended_at ? (kept.has_clip ? "clip" : "") : "now");
  const picture = find("img", item);
  if (kept.snapshot && picture.hidden) {
    picture.hidden = false;
    picture.src = `events/${kept.id}/picture.jpg`;
  }
  filterEvent(kept);
  if (shownEvent === event.id) openEvent(event.id);
}

function filterEvent(event) {
  const wanted = find("#filter").value;
  event.item.hidden = wanted !== "" && wanted !== event.source;
}

/** Offer a clip that this browser cannot play, such as one of MJPEG, as a file. */
function offerClip(stage, event) {
  const text = document.createElement("p"), link = document.createElement("a");
  Object.assign(link, { href: `events/${event.id}/clip.mp4`, download: `${event.source} ${event.label}.mp4`, textContent: "Download it" });
  text.append("This browser cannot play the clip. ", link);
  stage.replaceChildren(text);
}

function openEvent(id) {
  const event = events.get(id);
  if (!event) return;
  shownEvent = id;
  const viewer = find("#viewer"), stage = find("#stage");
  say(find("#viewer-title"), event.label);
  const kind = event.has_clip ? "video" : event.snapshot ? "img" : "p";
  if (stage.dataset.shown !== id + kind) {
    stage.dataset.shown = id + kind;
    const shown = document.createElement(kind);
    if (kind === "video") {
      Object.assign(shown, { controls: true, autoplay: true, muted: true, playsInline: true, src: `events/${id}/clip.mp4` });
      if (event.snapshot) shown.poster = `events/${id}/picture.jpg`;
      shown.addEventListener("error", () => offerClip(stage, event));
    } else if (kind === "img") {
      Object.assign(shown, { src: `events/${id}/picture.jpg`, alt: `${event.label} at ${event.source}` });
    } else {
      shown.textContent = event.clip_id ? "The clip is being written." : "There is neither a picture nor a clip.";
    }
    stage.replaceChildren(shown);
  }
  const facts = [
    ["camera", event.source],
    ["began", new Date(event.started_at).toLocaleString()],
    ["lasted", event.ended_at ? length(event.duration_s) : "goes on"],
    ["score", `mean ${event.mean.toFixed(2)}, peak ${event.peak.toFixed(2)}`],
  ];
  find("#facts").replaceChildren(...facts.flatMap(([term, text]) => {
    const pair = [document.createElement("dt"), document.createElement("dd")];
    pair[0].textContent = term;
    pair[1].textContent = text;
    return pair;
  }));
  if (!viewer.open) viewer.showModal();
}

find("#close").addEventListener("click", () => find("#viewer").close());
find("#viewer").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close();
});
find("#viewer").addEventListener("close", () => {
  shownEvent = null;
  find("#stage").replaceChildren();
  delete find("#stage").dataset.shown;
});
find("#filter").addEventListener("change", () => events.forEach(filterEvent));

// ---- news

function take(news) {
  serverAhead = news.now - Date.now() / 1000;
  for (const state of news.cameras) showCamera(state);
  removeCameras(new Set(news.cameras.map((state) => state.name)));
  for (const [name, points] of Object.entries(news.scores)) cameras.get(name)?.points.push(...points);
  for (const event of news.events) showEvent(event);
  for (const id of news.clips) if (events.has(id)) showEvent({ ...events.get(id), has_clip: true });
  find("#none").hidden = events.size > 0;
  const live = news.cameras.filter((state) => state.state === "live").length;
  const total = news.cameras.length;
  say(find("#title"), total === 1 ? "1 camera" : `${total} cameras`);
  document.title = `${live} of ${total} live`;
  say(find("#model"), news.model.split(/[\\/]/).pop());
  const alert = find("#alert");
  alert.hidden = !news.load.overloaded;
  say(alert, news.load.overloaded ? overload(news.load) : "");
  health(live === total ? "live" : "trouble", live === total ? "live" : `${total - live} not live`);
  cameras.forEach((camera, name) => showCurves(name, camera));
}

function overload({ rate, needed, late_s }) {
  const late = late_s > 1 ? `decoding is ${late_s.toFixed(1)} s late` : "";
  if (rate === 1) return `This machine is overloaded: ${late}.`;
  const why = [`the model would take ${percent(needed)} of its time`, late].filter(Boolean).join(", ");
  return `This machine is overloaded: ${why}. Every camera is watched at ${percent(rate)} of its rate.`;
}

function health(state, text) {
  find("#health").dataset.state = state;
  say(find("#health"), text);
}

function forget() {
  events.forEach(({ item }) => item.remove());
  events.clear();
  cameras.forEach((camera) => { camera.points = []; });
}

const news = new EventSource("updates");
news.addEventListener("open", forget); // the server tells everything anew
news.addEventListener("message", (message) => take(JSON.parse(message.data)));
news.addEventListener("error", () => {
  health("lost", "connection lost");
  if (news.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
});
setInterval(() => cameras.forEach((camera) => camera.refresh()), PICTURE_MS);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => cameras.forEach((camera, name) => showCurves(name, camera)));
addEventListener("resize", () => cameras.forEach((camera, name) => showCurves(name, camera)));
