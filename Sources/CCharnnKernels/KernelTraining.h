// Dropout, loss and optimisers; part of KernelBody.h.

// MARK: - Dropout

// Ten rounds of Philox-4x32 on W counters (c0, c1, c2, c3); the same numbers as Philox in CharnnEngine.
INLINE void philox_v(vu c[4], uint64_t key) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        vu64 a = __builtin_convertvector(c[0], vu64) * (uint64_t)0xD2511F53u;
        vu64 b = __builtin_convertvector(c[2], vu64) * (uint64_t)0xCD9E8D57u;
        vu c0 = __builtin_convertvector(b >> 32, vu) ^ c[1] ^ k0;
        vu c2 = __builtin_convertvector(a >> 32, vu) ^ c[3] ^ k1;
        c[1] = __builtin_convertvector(b, vu);
        c[3] = __builtin_convertvector(a, vu);
        c[0] = c0;
        c[2] = c2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

// The 4 W words of the blocks block, block + 1, ... in order.
INLINE void philox_words(uint32_t words[4 * W], uint32_t block, uint64_t key, uint32_t c1, uint32_t c2, uint32_t c3) {
    uint32_t lanes[W];
    for (size_t i = 0; i < W; i++) lanes[i] = (uint32_t)i;
    vu c[4];
    memcpy(&c[0], lanes, sizeof lanes);
    c[0] += block;
    c[1] = (vu){0} + c1;
    c[2] = (vu){0} + c2;
    c[3] = (vu){0} + c3;
    philox_v(c, key);
    vu64 low = __builtin_convertvector(c[0], vu64) | __builtin_convertvector(c[1], vu64) << 32;
    vu64 high = __builtin_convertvector(c[2], vu64) | __builtin_convertvector(c[3], vu64) << 32;
    typedef uint64_t vu64x2 __attribute__((vector_size(W * 16)));
    vu64x2 all = INTERLEAVE(low, high);
    memcpy(words, &all, sizeof all);
}

static void dropout(float *destination, const float *source, size_t count, uint64_t first, uint64_t key, uint32_t c1,
                    uint32_t c2, uint32_t c3, uint32_t threshold, float scale) {
    uint32_t words[4 * W];
    size_t i = 0;
    while (i < count) {
        uint64_t place = first + i;
        size_t skipped = place % 4;
        size_t run = 4 * W - skipped < count - i ? 4 * W - skipped : count - i;
        philox_words(words, (uint32_t)(place / 4), key, c1, c2, c3);
        if (run == 4 * W) {
            for (size_t k = 0; k < 4; k++) {
                vu w;
                memcpy(&w, words + k * W, sizeof w);
                vf kept = load(source + i + k * W) * scale;
                store(destination + i + k * W, (vf)((vi)kept & (vi)(w >= threshold)));
            }
        } else {
            for (size_t k = 0; k < run; k++) {
                destination[i + k] = words[skipped + k] >= threshold ? source[i + k] * scale : 0;
            }
        }
        i += run;
    }
}

// MARK: - Loss

// Adds the bias to a row of logits and returns the largest of them. What is to be exponentiated is taken relative to that,
// which keeps exp from overflowing; the subtraction also makes a NaN of infinities.
INLINE float add_bias(float *row, const float *bias, size_t symbols) {
    vf largest = splat(-INFINITY);
#define BLOCK(j, n)                                       \
    do {                                                  \
        vf v_ = load_n(row + j, n) + load_n(bias + j, n); \
        store_n(row + j, v_, n);                          \
        if (n < W) {                                      \
            vf rest_ = splat(-INFINITY);                  \
            memcpy(&rest_, &v_, n * sizeof(float));       \
            v_ = rest_;                                   \
        }                                                 \
        largest = choose(v_ > largest, v_, largest);      \
    } while (0)
    OVER(symbols, BLOCK);
#undef BLOCK
    return lane_max(largest);
}

// The sum of exp((x - top) * inverse) over a row, whose terms go to `terms` unless that is NULL; it may be the row.
INLINE float exponentials(const float *row, size_t symbols, float top, float inverse, float *terms) {
    vf total = {0};
#define BLOCK(j, n)                                          \
    do {                                                     \
        vf e_ = exp_v((load_n(row + j, n) - top) * inverse); \
        if (terms) store_n(terms + j, e_, n);                \
        if (n < W) {                                         \
            vf rest_ = {0};                                  \
            memcpy(&rest_, &e_, n * sizeof(float));          \
            e_ = rest_;                                      \
        }                                                    \
        total += e_;                                         \
    } while (0)
    OVER(symbols, BLOCK);
#undef BLOCK
    return lane_sum(total);
}

static void scores(float *logits, const float *bias, const int32_t *targets, size_t rows, size_t symbols,
                   const float *inverseTemperatures, size_t temperatures, float *losses, size_t stride) {
    for (size_t r = 0; r < rows; r++) {
        float *row = logits + r * symbols;
        const float top = add_bias(row, bias, symbols);
        const double target = (double)row[targets[r]] - (double)top;
        for (size_t k = 0; k < temperatures; k++) {
            const float inverse = inverseTemperatures[k];
            const float sum = exponentials(row, symbols, top, inverse, NULL);
            losses[k * stride + r] = (float)(log((double)sum) - target * inverse);
        }
    }
}

static void cross_entropy(float *logits, const float *bias, const int32_t *targets, size_t rows, size_t symbols,
                          float scale, float *losses, float *biasGradient) {
    for (size_t r = 0; r < rows; r++) {
        float *row = logits + r * symbols;
        const float top = add_bias(row, bias, symbols);
        const double target = (double)row[targets[r]] - (double)top;
        const float sum = exponentials(row, symbols, top, 1.0f, row);
        losses[r] = (float)(log((double)sum) - target);
        const float share = scale / sum;
#define BLOCK(j, n) store_n(row + j, load_n(row + j, n) * share, n)
        OVER(symbols, BLOCK);
#undef BLOCK
        row[targets[r]] -= scale;
        add(biasGradient, row, symbols);
    }
}

// MARK: - Optimisers

INLINE void adam_step(const CharnnUpdate *u, int decoupled) {
    float *p = u->parameters, *m = u->first, *v = u->second;
    const float *g = u->gradient;
    const float decay = decoupled ? 0 : u->weightDecay;
    const float shrink = decoupled ? 1 - u->learningRate * u->weightDecay : 1;
#define BLOCK(j, n)                                                                     \
    do {                                                                                \
        vf p_ = load_n(p + j, n);                                                       \
        vf g_ = load_n(g + j, n) * u->scale + p_ * decay;                               \
        vf m_ = load_n(m + j, n);                                                       \
        m_ = m_ + (g_ - m_) * u->oneMinusBeta1;                                         \
        vf v_ = load_n(v + j, n) * u->beta2 + g_ * g_ * u->oneMinusBeta2;               \
        vf d_ = __builtin_elementwise_sqrt(v_) * u->inverseRootBias + u->epsilon;       \
        store_n(m + j, m_, n);                                                          \
        store_n(v + j, v_, n);                                                          \
        store_n(p + j, p_ * shrink - m_ * u->stepSize / d_, n);                         \
    } while (0)
    OVER(u->count, BLOCK);
#undef BLOCK
}

static void adam(const CharnnUpdate *u) { adam_step(u, 0); }
static void adamw(const CharnnUpdate *u) { adam_step(u, 1); }

static void rmsprop(const CharnnUpdate *u) {
    float *p = u->parameters, *b = u->first, *v = u->second;
    const float *g = u->gradient;
#define BLOCK(j, n)                                                                     \
    do {                                                                                \
        vf p_ = load_n(p + j, n);                                                       \
        vf g_ = load_n(g + j, n) * u->scale + p_ * u->weightDecay;                      \
        vf v_ = load_n(v + j, n) * u->beta2 + g_ * g_ * u->oneMinusBeta2;               \
        vf d_ = g_ / (__builtin_elementwise_sqrt(v_) + u->epsilon);                     \
        store_n(v + j, v_, n);                                                          \
        if (u->momentum > 0) {                                                          \
            d_ = load_n(b + j, n) * u->momentum + d_;                                   \
            store_n(b + j, d_, n);                                                      \
        }                                                                               \
        store_n(p + j, p_ - d_ * u->learningRate, n);                                   \
    } while (0)
    OVER(u->count, BLOCK);
#undef BLOCK
}

static void sgd(const CharnnUpdate *u) {
    float *p = u->parameters, *b = u->first;
    const float *g = u->gradient;
#define BLOCK(j, n)                                                                     \
    do {                                                                                \
        vf p_ = load_n(p + j, n);                                                       \
        vf d_ = load_n(g + j, n) * u->scale + p_ * u->weightDecay;                      \
        if (u->momentum > 0) {                                                          \
            d_ = load_n(b + j, n) * u->momentum + d_;                                   \
            store_n(b + j, d_, n);                                                      \
        }                                                                               \
        store_n(p + j, p_ - d_ * u->learningRate, n);                                   \
    } while (0)
    OVER(u->count, BLOCK);
#undef BLOCK
}

static void dynamic(const CharnnUpdate *u) {
    float *p = u->parameters;
    const float *g = u->gradient, *anchor = u->first, *s = u->second;
#define BLOCK(j, n)                                                                     \
    do {                                                                                \
        vf s_ = load_n(s + j, n);                                                       \
        vf pull = __builtin_elementwise_min(s_ * u->weightDecay, (vf){0} + 1);          \
        vf p_ = load_n(p + j, n);                                                       \
        p_ = p_ - load_n(g + j, n) * u->scale * u->learningRate / (s_ + u->epsilon);    \
        store_n(p + j, p_ + (load_n(anchor + j, n) - p_) * pull, n);                    \
    } while (0)
    OVER(u->count, BLOCK);
#undef BLOCK
}

static void approach(float *x, const float *goal, size_t count, float rate) {
#define BLOCK(j, n)                                                     \
    do {                                                                \
        vf x_ = load_n(x + j, n);                                       \
        store_n(x + j, x_ + (load_n(goal + j, n) - x_) * rate, n);      \
    } while (0)
    OVER(count, BLOCK);
#undef BLOCK
}
