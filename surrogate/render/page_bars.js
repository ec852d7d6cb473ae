// Bars that are chosen on the rulers above the rolls, to be looped. They are chosen in
// all takes: kept as (start, end) in quarters from where the song begins in each take.

const chosen = { span: null, loop: true };

class Ruler {
  constructor(take, changed) {
    this.take = take;
    this.changed = changed;
    this.shade = element("div", { class: "chosen", hidden: "" });
    this.home = element("div", { class: "ruler", title: "Drag over bars to choose them" });
    this.home.style.height = `${NUMBERS}px`;
    take.roll_box.append(this.shade, this.home);
    this.home.addEventListener("click", (event) => event.stopPropagation());
    this.home.addEventListener("pointerdown", (event) => {
      this.home.setPointerCapture(event.pointerId);
      const bar = this.bar_at(event);
      this.held = event.shiftKey && chosen.span ? this.take.chosen_bars()[0] : bar;
      this.choose(bar);
    });
    this.home.addEventListener("pointermove", (event) => {
      if (this.home.hasPointerCapture(event.pointerId)) this.choose(this.bar_at(event));
    });
  }

  bar_at(event) {
    const x = event.clientX - this.take.roll_box.getBoundingClientRect().left;
    return this.take.bar_at(this.take.roll.quarter_at(x));
  }

  choose(bar) {
    this.changed(this.take, Math.min(bar, this.held), Math.max(bar, this.held));
  }

  show() {
    const span = this.take.chosen_quarters();
    const { page } = this.take.roll;
    this.shade.hidden = !span || span[1] <= page.start || span[0] >= page.end;
    if (this.shade.hidden) return;
    const left = this.take.roll.x(Math.max(span[0], page.start));
    const right = this.take.roll.x(Math.min(span[1], page.end));
    this.shade.style.left = `${left}px`;
    this.shade.style.width = `${right - left}px`;
  }
}

// Bars by number, for those who type: their first and last, whether to loop them, and none.
class BarChoice {
  constructor(changed) {
    const field = (name) => {
      const made = element("input", { type: "number", step: 1, "aria-label": name });
      made.addEventListener("change", () => this.type(made));
      made.addEventListener("focus", () => made.select()); // the other field may have filled it
      return made;
    };
    this.changed = changed;
    this.first = field("First bar");
    this.last = field("Last bar");
    this.loop = element("input", { type: "checkbox" });
    this.loop.checked = chosen.loop;
    this.loop.addEventListener("change", () => { chosen.loop = this.loop.checked; });
    this.none = element("button", { type: "button" }, "Clear");
    this.none.addEventListener("click", () => changed(current, null, null));
    this.home = element("section", { id: "bars", "aria-label": "Bars" },
      element("span", {}, "Bars"), this.first, "to", this.last,
      element("label", {}, this.loop, "loop"), this.none);
  }

  // Where one is typed, the other follows as far as it must.
  type(field) {
    const [first, last] = [this.first, this.last].map(({ value }) => (value === "" ? NaN : Number(value)));
    if (Number.isNaN(first) && Number.isNaN(last)) return this.changed(current, null, null);
    const typed = field === this.first ? first : last;
    const other = field === this.first ? last : first;
    const own = Number.isNaN(typed) ? other : typed, bound = Number.isNaN(other) ? own : other;
    if (field === this.first) this.changed(current, own, Math.max(own, bound));
    else this.changed(current, Math.min(own, bound), own);
  }

  show() {
    const bars = current.chosen_bars();
    const lead = current.view.first;
    for (const field of [this.first, this.last]) {
      field.min = lead;
      field.max = lead + current.view.bars.length - 2;
    }
    this.first.value = bars ? bars[0] + lead : "";
    this.last.value = bars ? bars[1] + lead : "";
    this.none.disabled = !bars;
  }
}
