// The page's piano rolls.

const GUTTER = 50, LANE = 11, GAP = 6; // pixels
const SEMITONE = 5.5, LOWEST_ROLL = 180, HIGHEST_ROLL = 320; // pixels
const LEAST_QUARTER = 15; // pixels: fewer bars are shown rather than narrower ones
const BAR_NUMBERS = 18, CHORDS = 18; // pixels: heights of the rows above the notes
const LONGEST_HIT = 0.2, BREATH = 0.06; // quarters: as drawn
const FAINTEST = 0.35; // opacity of the softest note
const DEPTH = ["other", "chords", "drums", "bass", "melody"]; // drawn in this order
const BLACK = new Set([1, 3, 6, 8, 10]);

const style = () => getComputedStyle(document.documentElement);

// Straight lines between points (x, y), by x; beyond the last it goes on as before it.
function follow(points, from, to, x) {
  let low = 0, high = points.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (points[middle][from] <= x) low = middle; else high = middle - 1;
  }
  const a = points[low], b = points[low + 1];
  return a[to] + (x - a[from]) * (b[to] - a[to]) / (b[from] - a[from]);
}

// What all rolls share, so that they can be compared.
const has_chords = song.views.some((view) => view.chords.length > 0);
const NUMBERS = BAR_NUMBERS + (has_chords ? CHORDS : 0); // pixels above the notes
const everything = song.views.flatMap((view) => view.tracks);
const lanes = [...new Set(everything.filter((t) => t.drum).flatMap((t) => t.notes.map((n) => n[2])))];
lanes.sort((a, b) => a - b);
const pitches = everything.filter((t) => !t.drum).flatMap((t) => t.notes.map((n) => n[2]));
let lowest = pitches.reduce((a, b) => Math.min(a, b), pitches.length ? 127 : 54) - 2;
let highest = pitches.reduce((a, b) => Math.max(a, b), pitches.length ? 0 : 66) + 2;
const missing = Math.max(24 - (highest - lowest), 0);
lowest -= Math.floor(missing / 2);
highest += Math.ceil(missing / 2);
const range = highest - lowest + 1;
const roll_height = clamp(range * SEMITONE, LOWEST_ROLL, HIGHEST_ROLL);
const semitone = roll_height / range;
const drums = lanes.length ? lanes.length * LANE + GAP : 0;
const height = NUMBERS + roll_height + drums;

// Rectangle of a note: left and right in quarters, top and height in pixels.
function box(track, [start, length, pitch]) {
  if (track.drum) {
    const top = height - (lanes.indexOf(pitch) + 1) * LANE;
    return [start, start + LONGEST_HIT, top + 1.5, LANE - 3];
  }
  const top = NUMBERS + (highest - pitch) * semitone;
  return [start, start + length - Math.min(length / 5, BREATH), top + 0.3, semitone - 0.6];
}

function paint(canvas, wide, high) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(high * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  return pen;
}

function shade(colour, factor) {
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const mixed = parts.map((p) => (factor < 1 ? p * factor : 255 - (255 - p) * (2 - factor)));
  return `rgb(${mixed.map(Math.round).join(" ")})`;
}

class Roll {
  constructor(view, player, box_element) {
    this.view = view;
    this.player = player;
    this.home = box_element;
    this.still = box_element.appendChild(element("canvas"));
    this.light = box_element.appendChild(element("canvas", { class: "light" }));
    this.home.style.height = `${height}px`;
    this.read_tracks();
  }

  // To be called when the view has others.
  read_tracks() {
    const depth = ({ role }) => DEPTH.indexOf(role);
    this.tracks = [...this.view.tracks].sort((a, b) => depth(a) - depth(b));
    this.drawn = null;
  }

  // As many bars as have room, a power of two.
  turn_to(quarter) {
    const bars = this.view.bars, count = bars.length - 1;
    const room = (this.home.clientWidth - GUTTER) / LEAST_QUARTER;
    const mean = bars[count] / count;
    const shown = 2 ** Math.max(Math.floor(Math.log2(room / mean)), 0);
    let bar = 0;
    while (bar < count - 1 && bars[bar + 1] <= quarter + 1e-6) bar++;
    // A pickup shares its page with the bars after it.
    const lead = this.view.first === 0 && count > 1 ? 1 : 0;
    const page = Math.max(Math.floor((bar - lead) / shown), 0);
    const first = page ? page * shown + lead : 0;
    const last = Math.min((page + 1) * shown + lead, count);
    const width = Math.max(bars[last] - bars[first], Math.min(shown, count) * mean);
    return { first, last, start: bars[first], end: bars[last], width };
  }

  x(quarter) {
    const wide = this.home.clientWidth - GUTTER - 1;
    return GUTTER + (quarter - this.page.start) / this.page.width * wide;
  }

  quarter_at(x) {
    const wide = this.home.clientWidth - GUTTER - 1;
    const quarter = this.page.start + (x - GUTTER) / wide * this.page.width;
    return clamp(quarter, this.page.start, this.page.end);
  }

  draw(quarter) {
    const page = this.turn_to(quarter);
    const key = JSON.stringify([page, this.home.clientWidth, [...mixer.muted]]);
    if (key !== this.drawn) {
      this.page = page;
      this.drawn = key;
      this.draw_still();
    }
    this.draw_light(quarter);
  }

  draw_still() {
    const pen = paint(this.still, this.home.clientWidth, height);
    const colours = style();
    const left = this.x(this.page.start), right = this.x(this.page.end);
    pen.fillStyle = colours.getPropertyValue("--key");
    for (let pitch = lowest; pitch <= highest; pitch++)
      if (BLACK.has(pitch % 12))
        pen.fillRect(left, NUMBERS + (highest - pitch) * semitone, right - left, semitone);
    this.draw_lines(pen, colours);
    this.draw_names(pen, colours);
    this.draw_chords(pen, colours);
    pen.save();
    pen.beginPath();
    pen.rect(left, 0, right - left, height);
    pen.clip();
    this.visible = [];
    for (const track of this.tracks) this.draw_track(pen, colours, track);
    pen.restore();
  }

  draw_lines(pen, colours) {
    const line = (quarter) => {
      const x = Math.round(this.x(quarter));
      pen.fillRect(x, NUMBERS, 1, roll_height);
      if (drums) pen.fillRect(x, NUMBERS + roll_height + GAP, 1, drums - GAP);
    };
    for (let bar = this.page.first; bar < this.page.last; bar++) {
      const [start, end] = [this.view.bars[bar], this.view.bars[bar + 1]];
      const beat = 4 / this.view.metres[bar][1];
      pen.fillStyle = colours.getPropertyValue("--beat");
      if (this.x(start + beat) - this.x(start) > 4)
        for (let quarter = start + beat; quarter < end - 1e-3; quarter += beat) line(quarter);
      pen.fillStyle = colours.getPropertyValue("--bar");
      line(start);
    }
    line(this.page.end);
  }

  draw_names(pen, colours) {
    pen.fillStyle = colours.getPropertyValue("--soft");
    pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    pen.textBaseline = "middle";
    for (let bar = this.page.first; bar < this.page.last; bar++) {
      const [metre, before] = [this.view.metres[bar], this.view.metres[bar - 1]];
      const number = bar + this.view.first; // of a pickup, 0
      const same = number > 1 && metre.join() === before.join();
      const name = number ? `${number}${same ? "" : `  ${metre.join("/")}`}` : "";
      pen.fillText(name, this.x(this.view.bars[bar]), 8);
    }
    pen.textAlign = "right";
    for (let pitch = 0; pitch < 128; pitch += 12)
      if (pitch >= lowest && pitch <= highest)
        pen.fillText(`C${pitch / 12 - 1}`, GUTTER - 6, NUMBERS + (highest - pitch + 0.5) * semitone);
    pen.font = pen.font.replace("11px", "9px");
    lanes.forEach((lane, line) =>
      pen.fillText(song.lanes[lane], GUTTER - 6, height - (line + 0.5) * LANE));
  }

  // Chord symbols over the notes. One that has no room is left out, unless it begins the page.
  draw_chords(pen, colours) {
    const { chords } = this.view, page = this.page;
    pen.fillStyle = colours.getPropertyValue("--ink");
    pen.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
    pen.textAlign = "left";
    let taken = -Infinity;
    chords.forEach(([start, name], n) => {
      const end = n + 1 < chords.length ? chords[n + 1][0] : Infinity;
      if (end <= page.start || start >= page.end) return;
      const left = this.x(Math.max(start, page.start)) + 2;
      if (left < taken) return;
      pen.fillText(name, left, BAR_NUMBERS + CHORDS / 2);
      taken = left + pen.measureText(name).width + 4;
    });
  }

  draw_track(pen, colours, track) {
    const colour = colours.getPropertyValue(`--${track.role}`).trim();
    const edge = shade(colour, Number(colours.getPropertyValue("--edge")));
    const heard = mixer.muted.has(track.role) ? 0.12 : 1;
    for (const note of track.notes) {
      const [from, to, top, high] = box(track, note);
      if (from >= this.page.end || to <= this.page.start) continue;
      this.visible.push({ role: track.role, from, to, top, high });
      const left = this.x(from), wide = Math.max(this.x(to) - left, 1.5);
      pen.globalAlpha = heard * (FAINTEST + (1 - FAINTEST) * note[3] / 127);
      pen.fillStyle = colour;
      pen.fillRect(left, top, wide, high);
      if (track.new) {
        pen.globalAlpha = heard;
        pen.strokeStyle = edge;
        pen.strokeRect(left + 0.5, top + 0.5, Math.max(wide - 1, 0.5), Math.max(high - 1, 0.5));
      }
    }
    pen.globalAlpha = 1;
  }

  // The playhead, and the notes that sound under it.
  draw_light(quarter) {
    const pen = paint(this.light, this.home.clientWidth, height);
    const colours = style();
    const x = clamp(this.x(quarter), GUTTER, this.x(this.page.end));
    if (this.player.state === "playing")
      for (const { role, from, to, top, high } of this.visible) {
        if (from > quarter || Math.max(to, from + 0.25) <= quarter) continue;
        if (mixer.muted.has(role)) continue;
        const left = Math.max(this.x(from), GUTTER);
        const right = Math.min(this.x(to), this.x(this.page.end));
        pen.fillStyle = pen.shadowColor = colours.getPropertyValue(`--${role}`).trim();
        pen.shadowBlur = 12;
        pen.fillRect(left, top - 1, Math.max(right - left, 1.5), high + 2);
      }
    pen.shadowBlur = 0;
    pen.fillStyle = colours.getPropertyValue("--playhead");
    pen.fillRect(x - 0.75, NUMBERS - 4, 1.5, height - NUMBERS + 4);
  }
}
