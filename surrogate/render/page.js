// The page's cards, one a view, and what the keyboard does.

class Take extends Card {
  constructor(view, number) {
    super(view.title, view);
    this.build(number);
    this.roll = new Roll(view, this.player, this.roll_box);
    this.ruler = new Ruler(this, choose_bars);
  }

  get quarter() {
    return follow(this.view.clock, 1, 0, this.player.position);
  }

  // Where it is in the song, in quarters from where that begins in each take.
  get place() {
    return this.quarter - this.view.lead;
  }

  set place(place) {
    const seconds = follow(this.view.clock, 0, 1, place + this.view.lead);
    this.player.offset = clamp(seconds, 0, this.view.seconds);
  }

  // The index of the bar that a quarter is in.
  bar_at(quarter) {
    const { bars } = this.view;
    const found = bars.findLastIndex((start) => start <= quarter + 1e-6);
    return clamp(found, 0, bars.length - 2);
  }

  // The chosen bars as quarters of this take, and as the indices of the first and the last; null:
  // there are none.
  chosen_quarters() {
    return chosen.span && chosen.span.map((quarter) => quarter + this.view.lead);
  }

  chosen_bars() {
    const span = this.chosen_quarters();
    return span && [this.bar_at(span[0]), this.bar_at(span[1] - 1e-3)];
  }

  build(number) {
    const { view } = this;
    const name = `take-${number}`;
    this.parts = element("div", { class: "parts", role: "group", "aria-label": "Parts to hear" });
    this.chips = new Map();
    for (const role of Object.keys(view.stems)) this.build_chip(role);
    const parts = view.tracks.map(({ role, new: made }) => (made ? `${role} (new)` : role));
    this.roll_box = element("div", {
      class: "roll", role: "img", "aria-label": `Notes of ${[...new Set(parts)].join(", ")}`,
    });
    this.overview = element("canvas", { "aria-hidden": "true" });
    this.link = element("a", { class: "download" }, "MIDI ↓");
    this.link.setAttribute("aria-label", `Download ${view.title} as MIDI`);
    this.offer();
    this.feel = element("button", { class: "feel", type: "button", "aria-pressed": "true" }, "feel");
    this.feel.title = "As a drummer plays it, or even and on the grid";
    this.feel.hidden = !view.even;
    this.feel.addEventListener("click", () => this.switch_feel());
    this.card = element("section", { class: "take", "aria-labelledby": name },
      element("div", { class: "top" }, element("h2", { id: name }, view.title), this.feel, this.link),
      element("div", { class: "controls" }, this.button, this.time, this.parts),
      this.roll_box,
      element("div", { class: "overview" }, this.overview, this.slider),
      this.problem);
    this.button.hidden = this.parts.hidden = !song.audio.length;
    this.button.disabled = !Object.keys(view.stems).length;
    this.roll_box.addEventListener("click", (event) => {
      const x = event.clientX - this.roll_box.getBoundingClientRect().left;
      this.seek(follow(view.clock, 0, 1, this.roll.quarter_at(x)));
    });
  }

  build_chip(role) {
    const chip = element("button", { class: "part", type: "button", "aria-pressed": "true" }, role);
    if (this.view.tracks.some((track) => track.role === role && track.new))
      chip.append(element("small", {}, "new"));
    chip.style.setProperty("--colour", `var(--${role})`);
    chip.title = `Mute or hear the ${role}`;
    chip.addEventListener("click", () => desk.mute(role));
    this.chips.set(role, chip);
    this.parts.append(chip);
  }

  // The MIDI file of the version that is shown.
  offer() {
    this.link.download = this.view.file;
    this.link.href = `data:audio/midi;base64,${this.view.midi}`;
  }

  // Exchanges the version that is shown with the other one, and goes on at the same place.
  switch_feel() {
    const { view } = this, { even, file, midi, tracks, stems } = view;
    if (!even) return;
    Object.assign(view, even, { even: { file, midi, tracks, stems } });
    const pressed = this.feel.getAttribute("aria-pressed") === "true";
    this.feel.setAttribute("aria-pressed", String(!pressed));
    this.offer();
    this.roll.read_tracks();
    this.seek(this.player.position);
  }

  play() {
    if (this.button.disabled || this.button.hidden) return;
    pause_others(this);
    this.select();
    const loop = this.loop();
    if (loop && (this.player.offset < loop[0] - 0.01 || this.player.offset >= loop[1] - 0.05))
      this.player.offset = loop[0];
    this.attempt(this.player.play());
  }

  // Goes on from there, if any take plays.
  seek(seconds) {
    const goes_on = pause_others(this);
    super.seek(seconds);
    if (goes_on) this.play();
  }

  // The seconds at which the loop begins and ends; null: there is none.
  loop() {
    const span = chosen.loop && this.chosen_quarters();
    return span ? span.map((quarter) => follow(this.view.clock, 0, 1, quarter)) : null;
  }

  // Makes it the one that the keys are for.
  select() {
    const before = current;
    current = this;
    if (before === this) return;
    before.show();
    bar_choice.show();
    document.dispatchEvent(new Event("taken"));
  }

  show() {
    if (!this.show_player()) return;
    const { player } = this, loop = player.state === "playing" && this.loop();
    if (loop && player.position >= Math.min(loop[1], this.view.seconds - 0.05)) {
      this.attempt(player.seek(loop[0]));
      return;
    }
    if (current === this && player.state === "paused") share_place();
    const { muted } = mixer;
    this.card.classList.toggle("current", current === this && takes.length > 1);
    for (const [role, chip] of this.chips) chip.setAttribute("aria-pressed", String(!muted.has(role)));
    const before = this.roll.drawn;
    this.roll.draw(this.quarter);
    if (before !== this.roll.drawn) this.draw_overview();
    this.ruler.show();
  }

  // The whole song in small, with a shade over the bars that the roll shows.
  draw_overview() {
    const { width, height: high } = this.overview.getBoundingClientRect();
    const pen = paint(this.overview, width, high);
    const colours = style();
    const x = (quarter) => follow(this.view.clock, 0, 1, quarter) / this.view.seconds * width;
    pen.fillStyle = colours.getPropertyValue("--key");
    pen.fillRect(0, 0, width, high);
    pen.fillStyle = colours.getPropertyValue("--page");
    const { start, end } = this.roll.page;
    pen.fillRect(x(start), 0, x(end) - x(start), high);
    for (const track of this.roll.tracks) {
      pen.fillStyle = colours.getPropertyValue(`--${track.role}`);
      pen.globalAlpha = mixer.muted.has(track.role) ? 0.12 : 0.85;
      for (const note of track.notes) {
        const [from, to, top] = box(track, note);
        const y = 3 + (top - NUMBERS) / (height - NUMBERS) * (high - 6);
        pen.fillRect(x(from), y, Math.max(x(to) - x(from), 1), track.drum ? 1 : 1.5);
      }
    }
  }
}

// Whether any other take played.
function pause_others(take) {
  const others = takes.filter((other) => other !== take && other.player.state !== "paused");
  for (const { player } of others) player.pause();
  return others.length > 0;
}

// Brings the other takes to where the current one is.
function share_place() {
  const { place } = current;
  for (const take of takes)
    if (take !== current && take.player.state === "paused" && Math.abs(take.place - place) > 1e-3) {
      take.place = place;
      take.show();
    }
}

// Chooses bars of a take, from the first to the last index; null: none.
function choose_bars(take, first, last) {
  const { bars, lead } = take.view;
  const index = (number) => clamp(number, 0, bars.length - 2);
  chosen.span = first === null ? null
    : [bars[index(first)] - lead, bars[index(last) + 1] - lead];
  for (const own of takes) own.show();
  bar_choice.show();
  document.dispatchEvent(new Event("chosen"));
}

let current = null;
const takes = [];
song.views.forEach((view, n) => takes.push(new Take(view, n + 1)));
const desk = new Mixer(takes);
const bar_choice = new BarChoice((take, first, last) => {
  const lead = take.view.first;
  choose_bars(take, first === null ? null : first - lead, last === null ? null : last - lead);
});
document.getElementById("takes").append(...takes.map((take) => take.card));
document.getElementById("takes").before(desk.home, bar_choice.home);
document.getElementById("facts").textContent = song.facts;
current = takes[0];
bar_choice.show();
const redraw = () => takes.forEach((take) => { take.roll.drawn = null; take.show(); });
new ResizeObserver(redraw).observe(document.getElementById("takes"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

const table = document.querySelector("#settings tbody");
for (const [name, value] of song.settings)
  table.append(element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)));
document.getElementById("feel-key").hidden = !song.views.some((view) => view.even);
document.getElementById("settings").hidden = !song.settings.length;

function move_bars(take, step) {
  const { bars } = take.view;
  const quarter = take.quarter;
  let bar = bars.findLastIndex((start) => start <= quarter + 0.02);
  // Back first goes to the start of the bar it is in, unless it has hardly begun.
  if (step < 0 && quarter - bars[bar] > 0.5) bar++;
  const wanted = bars[clamp(bar + step, 0, bars.length - 2)];
  take.seek(follow(take.view.clock, 0, 1, wanted));
}

// Chooses the bar that the current take is in, or a bar more or less of the chosen ones.
function extend_choice(step) {
  const bars = current.chosen_bars();
  const bar = current.bar_at(current.quarter);
  if (bars) choose_bars(current, bars[0], Math.max(bars[1] + step, bars[0]));
  else choose_bars(current, bar, bar);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { key, target, shiftKey } = event;
  const number = Number(key);
  // What is typed into a field, or moves a slider of the mixer, is meant for that.
  if (target.matches("input[type=number], input[type=text], textarea")) return;
  if (target.closest("#mixer") && key !== " " && !number) return;
  if (key === " " && !target.closest("button, a, input[type=checkbox]")) current.toggle();
  else if (key === "f") current.switch_feel();
  else if (key === "Escape" && chosen.span) choose_bars(current, null, null);
  else if (shiftKey && key === "ArrowLeft") extend_choice(-1);
  else if (shiftKey && key === "ArrowRight") extend_choice(1);
  else if (key === "ArrowLeft") move_bars(current, -1);
  else if (key === "ArrowRight") move_bars(current, 1);
  else if (number >= 1 && number <= takes.length) {
    if (takes[number - 1] !== current) takes[number - 1].play();
  } else return;
  event.preventDefault();
});
