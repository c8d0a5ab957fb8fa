// The edits that the server has not confirmed yet. They are sent one after the other, in the order in which the user made them; where
// the server does not answer, they wait until it does. Each has an id, by which the server knows one that it has received before.

import { CONNECTED, connection } from "./connection.js";
import { keep, newId, openStore } from "./unsent-store.js";

export class UnsentEdits {
  edits = []; // oldest first
  late = new Set(); // ids of those that had to wait for the server
  refusal = null; // { edit, reason }: the first edit was late and is refused; the user decides on it
  isKept = true; // whether they would survive a reload
  resolvers = new Map(); // id -> function that takes the outcome
  sending = null; // a promise while edits are being sent

  // post(edit, isLate): sends one; resolves to null where the server accepted it, { reason } where it refused it, and undefined where
  // it did not answer. onchange(): the edits or the refusal have changed. onlate(n): n late ones were accepted.
  constructor({ post, onchange, onlate }) {
    Object.assign(this, { post, onchange, onlate });
  }

  // Takes over what was left before, and sends it.
  async open() {
    const before = await openStore();
    for (const { id } of before) this.late.add(id);
    this.edits = [...before, ...this.edits];
    this.changed();
    return this.send();
  }

  // Resolves to true where the server accepted the edit, false where it refused it, and null where it has to wait.
  add(values) {
    const edit = { id: newId(), ...values };
    this.edits.push(edit);
    const outcome = new Promise((resolve) => this.resolvers.set(edit.id, resolve));
    this.changed();
    this.send();
    return outcome;
  }

  send() {
    this.sending ??= this.sendAll().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  async sendAll() {
    let lateCount = 0;
    while (this.edits.length && !this.refusal && connection.state === CONNECTED) {
      const [edit] = this.edits,
        isLate = this.late.has(edit.id);
      const outcome = await this.post(edit, isLate);
      if (outcome === undefined) break;
      if (outcome && isLate) this.refuse(edit, outcome.reason);
      else this.remove(edit, outcome === null);
      if (outcome === null && isLate) lateCount += 1;
    }
    this.wait();
    if (lateCount) this.onlate(lateCount);
  }

  refuse(edit, reason) {
    this.refusal = { edit, reason };
    this.changed();
  }

  remove(edit, isAccepted) {
    this.edits = this.edits.filter((other) => other !== edit);
    this.late.delete(edit.id);
    this.resolve(edit, isAccepted);
    this.changed();
  }

  // What is left has to wait.
  wait() {
    for (const edit of this.edits) {
      this.late.add(edit.id);
      this.resolve(edit, null);
    }
    if (this.edits.length) this.changed();
  }

  resolve(edit, outcome) {
    this.resolvers.get(edit.id)?.(outcome);
    this.resolvers.delete(edit.id);
  }

  changed() {
    this.isKept = keep(this.edits);
    this.onchange();
  }

  // --------------------------------------------------------------------------------------------- what the user decides

  retry() {
    this.refusal = null;
    this.changed();
    return this.send();
  }

  discardRefused() {
    if (this.refusal) this.remove(this.refusal.edit, false);
    return this.retry();
  }

  discardAll() {
    for (const edit of this.edits) this.remove(edit, false);
    return this.retry();
  }
}
