// Mouse, touch and wheel over the lanes of a row. A mouse seeks at once; a finger when it moves sideways or
// is lifted, as it may be the first of two that pinch.
function listenToPointer(lanes, view, { onSeek, onSelect, onView, onHover }) {
  const down = new Map();
  let pinch = null, from = null, selects = false, pinched = false;
  const place = (event) => event.clientX - lanes.getBoundingClientRect().left;
  const at = (event) => view.at(place(event), lanes.clientWidth);

  lanes.addEventListener("pointerdown", (event) => {
    if (event.button || down.size === 2) return;
    lanes.setPointerCapture(event.pointerId);
    down.set(event.pointerId, place(event));
    onHover(event);
    if (down.size === 2) {
      pinch = [...down.values()].map((x) => view.at(x, lanes.clientWidth));  // the moments under the fingers
      pinched = true;
      return;
    }
    selects = event.shiftKey || event.target.classList.contains("ruler");
    from = place(event);
    pinched = false;
    if (!selects && event.pointerType === "mouse") onSeek(at(event));
  });

  lanes.addEventListener("pointermove", (event) => {
    onHover(event);
    if (!down.has(event.pointerId)) return;
    down.set(event.pointerId, place(event));
    if (down.size === 2) return stretch();
    if (pinched) return;
    const moved = Math.abs(place(event) - from) > 4;
    if (selects && moved) onSelect([view.at(from, lanes.clientWidth), at(event)]);
    else if (!selects && (moved || event.pointerType === "mouse")) onSeek(at(event));
  });

  function stretch() {
    const [x, other] = down.values(), [seconds, second] = pinch;
    const span = ((second - seconds) / (other - x)) * lanes.clientWidth;
    if (!Number.isFinite(span) || span <= 0) return;  // fingers that crossed
    view.look(seconds - (x / lanes.clientWidth) * span, span);
    onView();
  }

  const lift = (event) => {
    if (!down.delete(event.pointerId) || pinched || event.type === "pointercancel") return;
    if (Math.abs(place(event) - from) <= 4 && (selects || event.pointerType !== "mouse")) onSeek(at(event));
  };
  lanes.addEventListener("pointerup", lift);
  lanes.addEventListener("pointercancel", lift);
  lanes.addEventListener("pointerleave", () => onHover(null));

  lanes.addEventListener("wheel", (event) => {
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!event.ctrlKey && !sideways) return;
    event.preventDefault();
    if (event.ctrlKey) view.zoom(Math.exp(event.deltaY / 300), at(event));
    else view.look(view.start + ((event.deltaX || event.deltaY) / lanes.clientWidth) * view.span, view.span);
    onView();
  }, { passive: false });
}
