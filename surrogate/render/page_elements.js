// What pages are made of: elements, icons, times, players.

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const PLAY = "M5 3l14 9-14 9z", PAUSE = "M5 3h5v18H5zm9 0h5v18h-5z";

const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

function icon(path) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const shape = svg.appendChild(document.createElementNS(space, "path"));
  shape.setAttribute("d", path);
  return svg;
}

// A player of a view: a button, a time, a slider, and a line for errors; its heirs lay them out.
class Card {
  constructor(title, view) {
    this.title = title;
    this.view = view;
    this.player = new Player(view, () => this.show());
    this.button = element("button", { class: "play", type: "button" });
    this.time = element("span", { class: "time" });
    this.slider = element("input", {
      type: "range", min: 0, max: view.seconds, step: "any", "aria-label": `Position in ${title}`,
    });
    this.slider.value = 0;
    this.problem = element("p", { class: "problem", role: "alert", hidden: "" });
    this.button.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
  }

  toggle() {
    if (this.player.state === "paused") this.play(); else this.player.pause();
  }

  seek(seconds) {
    this.select();
    this.attempt(this.player.seek(seconds));
  }

  // A browser that can't decode or play says so on the card.
  attempt(done) {
    this.problem.hidden = true;
    Promise.resolve(done).catch((error) => {
      this.player.pause();
      this.problem.textContent = `This browser cannot play it: ${error.message || error.name}`;
      this.problem.hidden = false;
    });
  }

  // Shows state and position. At the end it pauses instead, which shows them again: false.
  show_player() {
    const { state, position } = this.player;
    if (state === "playing" && position >= this.view.seconds) {
      this.player.offset = this.view.seconds;
      this.player.pause();
      return false;
    }
    if (state !== this.shown) {
      this.button.replaceChildren(icon(state === "paused" ? PLAY : PAUSE));
      this.button.setAttribute("aria-label", `${state === "paused" ? "Play" : "Pause"} ${this.title}`);
      this.button.classList.toggle("waiting", state === "waiting");
      this.card.dataset.state = this.shown = state;
      if (state === "playing") requestAnimationFrame(() => this.tick());
    }
    const [at, whole] = [position, this.view.seconds].map((time) => clock(time / mixer.speed));
    const text = `${at} / ${whole}`;
    if (this.time.textContent !== text) {
      this.time.textContent = text;
      this.slider.setAttribute("aria-valuetext", `${at} of ${whole}`);
    }
    this.slider.value = position;
    return true;
  }

  tick() {
    if (this.player.state !== "playing") return;
    this.show();
    requestAnimationFrame(() => this.tick());
  }
}
