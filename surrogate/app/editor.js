// What the app adds to the page of the bands: a row of chords, Redo and Undo. It asks the app for
// changes, and the app exchanges the page; what was set on it is kept in between.

const KEPT = "accompany";
const { editor } = song;

const DOING = { redo: "Redoing…", chords: "Changing the chords…", undo: "Undoing…" };

const asking = {
  status: element("p", { class: "done", role: "status" }),
  busy: false,
};

function ask(what, more = {}) {
  if (asking.busy) return;
  set_busy(true, DOING[what]);
  keep();
  const band = takes.indexOf(current);
  window.parent.postMessage({ accompany: { what, band, ...more } }, window.origin);
}

function set_busy(busy, text = "", wrong = false) {
  asking.busy = busy;
  asking.status.textContent = text;
  asking.status.classList.toggle("wrong", wrong);
  show_editor();
}

window.addEventListener("message", (event) => {
  if (event.source !== window.parent || !event.data?.done) return;
  set_busy(false, event.data.problem, Boolean(event.data.problem));
});

// What is set on the page: it is found again on the next one of this song.
function keep() {
  const { player } = current;
  const kept = {
    title: song.title, place: current.place, playing: player.state !== "paused",
    muted: [...mixer.muted], volume: [...mixer.volume], tempo: desk.tempo.value,
    span: chosen.span, loop: chosen.loop,
    scroll: window.parent.scrollY, // the new frame begins small
    redo: [...redo.parts].filter(([, box]) => !box.checked).map(([part]) => part),
  };
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
  } catch { /* then the page begins anew */ }
}

function find_again() {
  let kept = null;
  try {
    kept = JSON.parse(sessionStorage.getItem(KEPT));
  } catch { /* nothing was kept */ }
  if (kept?.title !== song.title) return;
  for (const role of kept.muted) mixer.muted.add(role);
  for (const [role, volume] of kept.volume) {
    mixer.volume.set(role, volume);
    if (desk.volumes.has(role)) desk.volumes.get(role).value = 100 * volume;
  }
  desk.tempo.value = kept.tempo;
  desk.tell_tempo();
  mixer.speed = kept.tempo / 100;
  chosen.span = kept.span;
  chosen.loop = bar_choice.loop.checked = kept.loop;
  for (const part of kept.redo) redo.parts.get(part).checked = false;
  current.place = kept.place;
  if (kept.scroll) setTimeout(() => window.parent.scrollTo(0, kept.scroll), 200);
  if (kept.playing && song.audio.length) {
    sessionStorage.setItem(KEPT, JSON.stringify({ ...kept, playing: false, scroll: 0 }));
    current.play();
  }
}

// Redo and Undo stand beside the choice of bars.
const redo = {
  parts: new Map(["bass", "drums", "chords"].map((part) => {
    const box = element("input", { type: "checkbox" });
    box.checked = true;
    box.addEventListener("change", () => show_editor());
    return [part, box];
  })),
  labels: new Map(),
  button: element("button", { type: "button", class: "main" }, "Redo"),
  undo: element("button", { type: "button" }, "Undo"),
};
redo.button.title = "Make the chosen bars of these parts anew, as a further version of the band";
redo.button.addEventListener("click", () => ask_redo());
redo.undo.addEventListener("click", () => ask("undo"));
const redo_home = element("span", { id: "redo", role: "group", "aria-label": "Redo the chosen bars" });
redo_home.append(redo.button);
for (const [part, box] of redo.parts) {
  redo.labels.set(part, element("label", {}, box, part));
  redo_home.append(redo.labels.get(part));
}
redo_home.append(redo.undo);
bar_choice.home.append(redo_home, asking.status);

const parts_here = () => editor.parts[takes.indexOf(current)]
  .filter((part) => redo.parts.get(part).checked);

// What is missing before bars can be redone; null: nothing.
function lacking() {
  const parts = editor.parts[takes.indexOf(current)];
  if (!parts.length)
    return current === takes[0] ? "Play or click one of the bands first: the song stays as it came."
      : "Only new parts that the band network has made can be redone.";
  if (!chosen.span) return "Choose bars first: drag over the bar numbers, or type them here.";
  return parts_here().length ? null : `Choose what to redo: ${parts.join(", ")}.`;
}

function ask_redo() {
  if (asking.busy) return;
  const lack = lacking();
  if (lack) return set_busy(false, lack, true);
  const bars = current.chosen_bars(), parts = parts_here();
  const [first, last] = bars.map((bar) => bar + current.view.first);
  ask("redo", { bars: parts.map((part) => `${part}:${first}-${last}`) });
}

// The row of chords: a cell for each bar of the current take.
const chord_row = {
  cells: element("div", { class: "cells" }),
  use: element("button", { type: "button" }, "Use these chords"),
  shown: null, // the number of the take whose chords are in it
  inputs: [],
};
chord_row.use.title = "Make bass and chords of the bars with other chords anew";
chord_row.use.addEventListener("click", () => ask_chords());
const chord_home = element("section", { id: "chords", "aria-labelledby": "chords-title" },
  element("div", { class: "top" }, element("h2", { id: "chords-title" }, "Chords"), chord_row.use),
  chord_row.cells);
bar_choice.home.after(chord_home);

const changed = () => chord_row.inputs.some((input) => input.value.trim() !== input.dataset.was);

function ask_chords() {
  if (changed()) ask("chords", { chords: chord_row.inputs.map((input) => input.value) });
}

function fill_row(number) {
  if (chord_row.shown === number) return;
  chord_row.shown = number;
  const chart = editor.charts[number];
  chord_row.inputs = (chart?.cells ?? []).map((cell, n) => {
    const input = element("input", {
      type: "text", maxlength: 100, autocomplete: "off", spellcheck: "false",
      "aria-label": `Chords of bar ${chart.first + n}`,
    });
    input.value = input.dataset.was = cell;
    input.addEventListener("input", () => {
      input.parentElement.classList.toggle("changed", input.value.trim() !== cell);
      show_editor();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") ask_chords();
      if (event.key !== "Escape") return;
      input.value = cell; // as it was
      input.dispatchEvent(new Event("input"));
    });
    return input;
  });
  chord_row.cells.replaceChildren(...chord_row.inputs.map((input, n) =>
    element("label", { class: chart.first + n ? "" : "pickup" }, element("span", { "aria-hidden": "true" }, `${chart.first + n}`), input)));
}

function show_editor() {
  const number = takes.indexOf(current), parts = editor.parts[number], { busy } = asking;
  fill_row(number);
  chord_home.hidden = !chord_row.inputs.length;
  chord_row.use.disabled = busy || !changed();
  for (const [part, label] of redo.labels) label.hidden = !parts.includes(part);
  redo.button.disabled = busy;
  redo.undo.disabled = busy || !editor.undo;
}

// What was said is done with, once something else is chosen.
function choose_other() {
  if (!asking.busy) asking.status.textContent = "";
  show_editor();
}

document.addEventListener("taken", choose_other);
document.addEventListener("chosen", choose_other);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=text], input[type=number]") || event.altKey) return;
  const control = event.ctrlKey || event.metaKey;
  if (!control && event.key === "r") ask_redo();
  else if (control && event.key === "z" && editor.undo) ask("undo");
  else return;
  event.preventDefault();
});

const keys = document.querySelector("footer .keys");
for (const [key, does] of [["r", "redo the chosen bars"], ["ctrl z", "undo"]])
  keys.append(" ", element("kbd", {}, key), ` ${does}`);

// A reload would lose what was changed; the browser asks first.
window.parent.onbeforeunload = editor.undo ? (event) => event.preventDefault() : null;

current = takes[editor.current];
find_again();
redraw();
bar_choice.show();
show_editor();
