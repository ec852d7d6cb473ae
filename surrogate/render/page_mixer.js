// The mixer: volume and mute for each part, and the tempo. It holds for all takes, so that they can
// be compared.

const PARTS = ["melody", "bass", "drums", "chords", "other"];
const SLOWEST = 50, FASTEST = 150; // percent

function labelled(name, input, output = "") {
  return element("label", { class: "fader" }, element("span", {}, name), input, output);
}

function dial(least, most, value, name) {
  const made = element("input", { type: "range", min: least, max: most, step: 1, "aria-label": name });
  made.value = value;
  return made;
}

class Mixer {
  constructor(takes) {
    this.takes = takes;
    const roles = PARTS.filter((role) => takes.some(({ view }) => role in view.stems));
    this.volumes = new Map(roles.map((role) => [role, this.build_volume(role)]));
    this.home = element("section", { id: "mixer", "aria-label": "Mixer" },
      ...[...this.volumes].map(([role, input]) => this.fader(role, input)), this.build_tempo());
    this.home.hidden = !roles.length;
  }

  fader(role, input) {
    const made = labelled(role, input);
    made.style.setProperty("--colour", `var(--${role})`);
    return made;
  }

  build_volume(role) {
    const input = dial(0, 100, 100, `Volume of the ${role}`);
    input.addEventListener("input", () => {
      mixer.volume.set(role, input.value / 100);
      this.balance();
    });
    return input;
  }

  // Half and one and a half times as fast; the pitch stays. The file's own tempo does, too.
  build_tempo() {
    this.tempo = dial(SLOWEST, FASTEST, 100, "Tempo in percent");
    this.told = element("output", {});
    this.tempo.addEventListener("input", () => this.tell_tempo());
    this.tempo.addEventListener("change", () => this.set_speed(this.tempo.value / 100));
    this.tell_tempo();
    return labelled("tempo", this.tempo, this.told);
  }

  tell_tempo() {
    const percent = Number(this.tempo.value);
    const text = tempo_at(this.takes[0].view.clock, percent / 100);
    const told = `♩ = ${text}`;
    this.told.textContent = percent === 100 ? told : `${told}, ${percent} %`;
    this.tempo.setAttribute("aria-valuetext", `${text} beats a minute, ${percent} percent`);
  }

  // What plays goes on at the same place in the song.
  set_speed(speed) {
    const playing = this.takes.find(({ player }) => player.state !== "paused");
    playing?.player.pause();
    mixer.speed = speed;
    playing?.play();
    for (const take of this.takes) take.show();
  }

  mute(role) {
    if (!mixer.muted.delete(role)) mixer.muted.add(role);
    this.balance();
  }

  balance() {
    for (const { player } of this.takes) player.balance();
  }
}

// The slowest and the fastest tempo of a song that is played at a speed, in words.
function tempo_at(clock, speed) {
  const tempos = clock.slice(1).map(([quarter, second], n) =>
    Math.round(60 * speed * (quarter - clock[n][0]) / (second - clock[n][1])));
  const [slow, fast] = [Math.min(...tempos), Math.max(...tempos)];
  return slow === fast ? `${slow}` : `${slow} to ${fast}`;
}
