// Texts of `bits` in any order, drawn by seed, shown after every few characters: those that end otherwise than in one
// piece, as [text, HTML of the pieces, HTML of the whole].
async (bits) => {
  const { LiveMarkdown } = await import("/assets/app/markdown.js");
  let seed = 7;
  const draw = (count) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * count);
  };
  const bit = () => bits[draw(bits.length)] + ["", "\n", "\n\n", " "][draw(4)];
  const shown = () => new LiveMarkdown(document.createElement("div"));
  const differing = [];
  for (let turn = 0; turn < 300; turn += 1) {
    const text = Array.from({ length: 1 + draw(14) }, bit).join("");
    const [cut, whole] = [shown(), shown()];
    for (let from = 0; from < text.length; ) {
      const to = from + 1 + draw(6);
      cut.push(text.slice(from, to));
      cut.flush();
      from = to;
    }
    whole.push(text);
    cut.finish();
    whole.finish();
    const bare = ({ element }) => element.innerHTML.replace(/\s+/g, "");
    if (bare(cut) !== bare(whole)) differing.push([text, cut.element.innerHTML, whole.element.innerHTML]);
  }
  return differing;
};
