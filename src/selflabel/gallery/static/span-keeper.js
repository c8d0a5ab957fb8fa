// Plays a span of a sound or film: it starts at the span's first moment and stops at its last one, or starts again there.

const CLOSE_S = 0.02; // so near to the end, playing begins anew

export class SpanKeeper {
  // media: an audio or video element. span: [start, end] in seconds. isOn(): whether it is kept to; loops: start again at the end.
  constructor(media, [start, end], { isOn = () => true, loops = false } = {}) {
    Object.assign(this, { media, start, end, isOn, loops });
    media.addEventListener("loadedmetadata", () => this.rewind());
    media.addEventListener("play", () => this.onPlay());
    media.addEventListener("timeupdate", () => this.check()); // also where the tab is in the background
    media.addEventListener("ended", () => loops && isOn() && this.playAgain());
  }

  rewind() {
    this.media.currentTime = this.start;
  }

  get isOutside() {
    const { currentTime } = this.media;
    return currentTime < this.start - CLOSE_S || currentTime >= this.end - CLOSE_S;
  }

  onPlay() {
    if (this.isOn() && this.isOutside) this.rewind();
    this.watch();
  }

  // Every frame, because timeupdate comes four times a second only.
  watch() {
    if (this.media.paused || !this.media.isConnected) return;
    this.check();
    requestAnimationFrame(() => this.watch());
  }

  check() {
    const { media } = this;
    if (!this.isOn() || media.paused || media.seeking || media.currentTime < this.end) return;
    if (this.loops) return this.rewind();
    media.pause();
    media.currentTime = this.end;
  }

  playAgain() {
    this.rewind();
    this.media.play().catch(() => {});
  }
}
