#!/usr/bin/env python3
"""Prints what AdaptiveNGramsTests compares with: the same definitions once more, by plain dictionaries.

    record_ngrams.py

No module is needed beyond Python's own.
"""

import math

ORDER = 7
WORDS = ["the", "owl", "and", "a", "cat", "saw", "it", "nothing", "not", "there", "then", "so", "line", "lion", "in", "on"]


def text(words, state=7):
    pieces = []
    for _ in range(words):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        # Two draws of four bits, of which the smaller counts: the first words are the likelier ones.
        pieces.append(WORDS[min(state >> 60, state >> 56 & 15)])
    return " ".join(pieces)


def record(x, cut):
    alphabet = len(set(x))
    after, followers, occurrences = {}, {}, {}

    def count(i, start):
        for k in range(min(i - start, ORDER) + 1):
            context, string = x[i - k:i], x[i - k:i + 1]
            after[context] = after.get(context, 0) + 1
            if string not in occurrences:
                followers[context] = followers.get(context, 0) + 1
            occurrences[string] = occurrences.get(string, 0) + 1

    for i in range(cut):
        count(i, 0)
    # What is scored is another text: its first character has no context and is not predicted.
    count(cut, cut)
    weights, seen = {}, {}
    alone = mixed = 0.0
    for i in range(cut + 1, len(x)):
        p, kind = 1 / alphabet, None
        for k in range(min(i - cut, ORDER) + 1):
            context = x[i - k:i]
            n = after.get(context, 0)
            if n == 0:
                break
            t = followers[context]
            p = (occurrences.get(x[i - k:i + 1], 0) + t * p) / (n + t)
            kind = (k, n < 4)
        alone -= math.log(p)
        model = 0.05 + 0.9 * (((i - cut - 1) * 0.6180339887498949) % 1)
        w = weights.get(kind, 0.05)
        m = (1 - w) * model + w * p
        mixed -= math.log(m)
        seen[kind] = seen.get(kind, 0) + 1
        weights[kind] = min(0.9, max(0.002, w + (w * p / m - w) / (seen[kind] + 30)))
        count(i, cut)
    return len(x), alphabet, alone, mixed, len(seen)


if __name__ == "__main__":
    characters, alphabet, alone, mixed, kinds = record(text(600), 1800)
    print(f"{characters} characters, {alphabet} different, {kinds} kinds of context")
    print(f"n-grams alone {alone!r} nats, mixed {mixed!r}")
