// The page's cards, one a view, and what the keyboard does.

class Take extends Card {
  constructor(view, number) {
    super(view.title, view);
    this.build(number);
    this.roll = new Roll(view, this.player, this.roll_box);
  }

  get quarter() {
    return follow(this.view.clock, 1, 0, this.player.position);
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
    chip.addEventListener("click", () => this.player.toggle_part(role));
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
    for (const other of takes)
      if (other !== this && other.player.state !== "paused") other.player.pause();
    this.select();
    this.attempt(this.player.play());
  }

  // Makes it the one that the keys are for.
  select() {
    const before = current;
    current = this;
    if (before !== this) before.show();
  }

  show() {
    if (!this.show_player()) return;
    const { muted } = this.player;
    this.card.classList.toggle("current", current === this && takes.length > 1);
    for (const [role, chip] of this.chips) chip.setAttribute("aria-pressed", String(!muted.has(role)));
    const before = this.roll.drawn;
    this.roll.draw(this.quarter);
    if (before !== this.roll.drawn) this.draw_overview();
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
      pen.globalAlpha = this.player.muted.has(track.role) ? 0.12 : 0.85;
      for (const note of track.notes) {
        const [from, to, top] = box(track, note);
        const y = 3 + (top - NUMBERS) / (height - NUMBERS) * (high - 6);
        pen.fillRect(x(from), y, Math.max(x(to) - x(from), 1), track.drum ? 1 : 1.5);
      }
    }
  }
}

let current = null;
const takes = [];
song.views.forEach((view, n) => takes.push(new Take(view, n + 1)));
document.getElementById("takes").append(...takes.map((take) => take.card));
document.getElementById("facts").textContent = song.facts;
current = takes[0];
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

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const number = Number(event.key);
  if (event.key === " " && !event.target.closest("button, a")) current.toggle();
  else if (event.key === "f") current.switch_feel();
  else if (event.key === "ArrowLeft") move_bars(current, -1);
  else if (event.key === "ArrowRight") move_bars(current, 1);
  else if (number >= 1 && number <= takes.length) {
    const [wanted, place] = [takes[number - 1], current.player.position];
    if (wanted !== current) {
      if (wanted.player.state !== "paused") wanted.player.pause();
      wanted.player.offset = Math.min(place, wanted.view.seconds);
      wanted.play();
    }
  } else return;
  event.preventDefault();
});
