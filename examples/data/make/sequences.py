#!/usr/bin/env python3
"""Choose tetrapeptide sequences to simulate: random, even, and apart from those kept for judging.

    python sequences.py --apart-from manifest.json --blocks 4 > sequences.txt

Each block is 20 sequences in which every one of the 20 amino acids stands exactly once at each of the four positions, so
every prefix of whole blocks is even too. Every sequence differs in at least APART letters from each peptide of the given
manifest whose role is validation or scoring (a model trained on the new MD has then not seen them or a near copy), and
in at least two from its training peptides and from every other sequence chosen. The same seed gives the same list.

    python sequences.py --apart-from manifest.json --middle VIT --each 2 > sequences_branched.txt

chooses by the same rules sequences whose two middle residues are every pair of the given amino acids, each so often: for
residues whose side chains turn so slowly that the even list holds too few turns.
"""
import argparse
import json
import random

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
APART, APART_FROM_TRAINING = 3, 2


def distance(a, b):
    """Number of positions at which two sequences differ."""
    return sum(x != y for x, y in zip(a, b))


def choose(held_out, training, blocks, seed):
    """Return 20 * blocks sequences; rows that break a rule are swapped letter by letter until none does."""
    rng = random.Random(seed)
    chosen = []
    for _ in range(blocks):
        columns = [rng.sample(AMINO_ACIDS, 20) for _ in range(4)]

        def broken(i):
            rows = ["".join(c[k] for c in columns) for k in range(20)]
            return (any(distance(rows[i], h) < APART for h in held_out)
                    or any(distance(rows[i], t) < APART_FROM_TRAINING for t in [*training, *chosen])
                    or any(distance(rows[i], rows[k]) < APART_FROM_TRAINING for k in range(20) if k != i))

        while bad := [i for i in range(20) if broken(i)]:
            i, k, column = bad[0], rng.randrange(20), rng.choice(columns)
            column[i], column[k] = column[k], column[i]
        chosen += ["".join(c[i] for c in columns) for i in range(20)]
    return chosen


def choose_around(middle, each, held_out, training, seed):
    """Return each sequences around every pair of amino acids in middle; the ends are drawn evenly.

    Pairs that stand in the middle of a held-out peptide cannot be far enough from it and are left out.
    """
    rng = random.Random(seed)
    ends = [[], []]
    chosen = []
    taken = {h[1:3] for h in held_out}
    for pair in [p for p in (a + b for a in middle for b in middle) if p not in taken] * each:
        while True:
            for pool in ends:
                if not pool:
                    pool += rng.sample(AMINO_ACIDS, 20)
            name = ends[0].pop() + pair + ends[1].pop()
            if (all(distance(name, h) >= APART for h in held_out)
                    and all(distance(name, t) >= APART_FROM_TRAINING for t in [*training, *chosen])):
                chosen.append(name)
                break
    return chosen


def choose_lengths(lengths, each, held_out, seed):
    """Return each sequences of every length, all lengths in turn, their letters drawn evenly; every second one capped."""
    rng = random.Random(seed)
    pool, chosen = [], []

    def draw():
        if not pool:
            pool.extend(rng.sample(AMINO_ACIDS, 20))
        return pool.pop()

    for _ in range(each):
        for length in lengths:
            while True:
                name = "".join(draw() for _ in range(length))
                windows = [name[i:i + 4] for i in range(length - 3)]
                if name not in chosen and all(distance(w, h) >= APART for w in windows for h in held_out):
                    break
            chosen.append(name)
    return [f"ACE-{n}-NME" if (i // len(lengths) + i) % 2 else n for i, n in enumerate(chosen)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apart-from", required=True, metavar="MANIFEST", help="manifest.json with peptides and their roles")
    parser.add_argument("--blocks", type=int, default=4, help="blocks of 20 sequences")
    parser.add_argument("--middle", metavar="LETTERS", help="choose around all pairs of these amino acids instead")
    parser.add_argument("--lengths", type=int, nargs="+", metavar="N", help="choose chains of these lengths instead")
    parser.add_argument("--each", type=int, default=1, help="sequences per pair of --middle, or per length")
    parser.add_argument("--seed", type=int, default=20260)
    a = parser.parse_args()
    with open(a.apart_from) as f:
        peptides = json.load(f)["peptides"]
    held = [p["name"] for p in peptides if p["role"] in ("validation", "scoring")]
    train = [p["name"] for p in peptides if p["role"] == "train"]
    if a.middle:
        print("\n".join(choose_around(a.middle, a.each, held, train, a.seed)))
    elif a.lengths:
        print("\n".join(choose_lengths(a.lengths, a.each, held, a.seed)))
    else:
        print("\n".join(choose(held, train, a.blocks, a.seed)))
