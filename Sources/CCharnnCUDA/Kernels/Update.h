// What becomes of a step: gradient norm, decision, optimiser, and the weights as the products want them.
#ifndef CHARNN_UPDATE_H
#define CHARNN_UPDATE_H

#include "Platform.h"

// The sum over a block's threads, in a fixed order, for thread 0.
template <int threads>
CHARNN_DEVICE double blockSum(double x) {
    CHARNN_SHARED double sums[threads];
    sums[threadIdx.x] = x;
    __syncthreads();
    for (int half = threads / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    const double sum = sums[0];
    __syncthreads();
    return sum;
}

CHARNN_KERNEL(CharnnRowThreads, gradient_norm, CharnnNorm) {
    const float scale = a.scale / at<CharnnStep>(a.step)->lossScale;
    const float *gradient = at<float>(a.gradient);
    float sum = 0;
    for (long long i = (long long)blockIdx.x * CharnnRowThreads + threadIdx.x; i < a.count;
         i += (long long)CharnnNormBlocks * CharnnRowThreads) {
        const float g = gradient[i] * scale;
        sum += g * g;
    }
    const double total = blockSum<CharnnRowThreads>(sum);
    if (threadIdx.x == 0) at<double>(a.partial)[blockIdx.x] = total;
}

CHARNN_DEVICE bool isFinite(double x) { return x - x == 0; }

// One block.
CHARNN_KERNEL(CharnnConcludeThreads, conclude, CharnnConclusion) {
    double loss = 0, squares = 0;
    for (int i = threadIdx.x; i < a.rows; i += CharnnConcludeThreads) loss += at<float>(a.losses)[i];
    for (int i = threadIdx.x; i < CharnnNormBlocks; i += CharnnConcludeThreads) squares += at<double>(a.norms)[i];
    loss = blockSum<CharnnConcludeThreads>(loss) / a.rows;
    const double norm = sqrt(blockSum<CharnnConcludeThreads>(squares));
    if (threadIdx.x != 0) return;
    const CharnnStep *step = at<CharnnStep>(a.step);
    CharnnStatus *status = at<CharnnStatus>(a.status);
    CharnnOutcome *outcome = at<CharnnOutcome>(a.outcomes) + step->slot;
    int state = CharnnStepApplied;
    if (status->isHeld) {
        state = CharnnStepHeld;
    } else if (!isFinite(loss) || !isFinite(norm)) {
        state = a.isScaled && isFinite(loss) ? CharnnStepOverflowed : CharnnStepFailed;
        status->isHeld = 1;
    }
    const double clip = step->clipNorm > 0 && step->clipNorm < norm + 1e-6 ? step->clipNorm / (norm + 1e-6) : 1;
    status->applies = state == CharnnStepApplied;
    status->gradientScale = (float)(clip / ((double)a.rows * step->lossScale));
    outcome->loss = loss;
    outcome->norm = norm;
    outcome->state = state;
}

CHARNN_KERNEL(CharnnRowThreads, update, CharnnParameterUpdate) {
    const long long i = (long long)blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (i >= a.count || !at<CharnnStatus>(a.status)->applies) return;
    const CharnnStep u = *at<CharnnStep>(a.step);
    float *first = at<float>(a.first), *second = at<float>(a.second);
    float p = at<float>(a.parameters)[i];
    float g = at<float>(a.gradient)[i] * at<CharnnStatus>(a.status)->gradientScale;
    const float decay = a.decays ? u.weightDecay : 0;
    if (u.optimizer == CharnnAdamW) {
        p *= 1 - u.learningRate * decay;
    } else {
        g += p * decay;
    }
    switch (u.optimizer) {
        case CharnnAdam:
        case CharnnAdamW: {
            const float m = first[i] + (g - first[i]) * u.oneMinusBeta1;
            const float v = second[i] * u.beta2 + g * g * u.oneMinusBeta2;
            first[i] = m;
            second[i] = v;
            p -= m * u.stepSize / (sqrtf(v) * u.inverseRootBias + u.epsilon);
            break;
        }
        case CharnnRMSprop: {
            const float v = second[i] * u.beta2 + g * g * u.oneMinusBeta2;
            second[i] = v;
            float move = g / (sqrtf(v) + u.epsilon);
            if (u.momentum > 0) {
                move += first[i] * u.momentum;
                first[i] = move;
            }
            p -= move * u.learningRate;
            break;
        }
        case CharnnSGD:
            if (u.momentum > 0) {
                g += first[i] * u.momentum;
                first[i] = g;
            }
            p -= g * u.learningRate;
            break;
        case CharnnDynamic: {
            const float anchor = first[i], s = second[i];
            p -= at<float>(a.gradient)[i] * at<CharnnStatus>(a.status)->gradientScale * u.learningRate / (s + u.epsilon);
            p += (anchor - p) * fminf(s * u.weightDecay, 1);
            break;
        }
        default:
            // A rule that only the host knows: the step fails, and with it the device, rather than learn by another rule.
            __trap();
    }
    at<float>(a.parameters)[i] = p;
    if (u.averageRate > 0) {
        float *average = at<float>(a.average);
        average[i] += (p - average[i]) * u.averageRate;
    }
}

CHARNN_KERNEL(CharnnRowThreads, exchange, CharnnExchange) {
    const long long i = (long long)blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (i >= a.count) return;
    const float x = at<float>(a.first)[i];
    at<float>(a.first)[i] = at<float>(a.second)[i];
    at<float>(a.second)[i] = x;
}

// A block takes a square of the matrix, so that both copies are written row by row.
CHARNN_KERNEL(CharnnRowThreads, pack, CharnnPack) {
    CHARNN_SHARED float square[CharnnPackTile][CharnnPackTile + 1];
    const int firstRow = blockIdx.y * CharnnPackTile, firstColumn = blockIdx.x * CharnnPackTile;
    for (int i = threadIdx.x; i < CharnnPackTile * CharnnPackTile; i += CharnnRowThreads) {
        const int row = firstRow + i / CharnnPackTile, column = firstColumn + i % CharnnPackTile;
        const bool inside = row < a.rows && column < a.columns;
        const float x = inside ? at<float>(a.from)[(long long)row * a.columns + column] : 0;
        square[i / CharnnPackTile][i % CharnnPackTile] = x;
        if (inside) put(at<Half>(a.to) + (long long)row * a.stride + column, x);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < CharnnPackTile * CharnnPackTile; i += CharnnRowThreads) {
        const int column = firstColumn + i / CharnnPackTile, row = firstRow + i % CharnnPackTile;
        if (row < a.rows && column < a.columns) {
            const float x = square[i % CharnnPackTile][i / CharnnPackTile];
            put(at<Half>(a.transposed) + (long long)column * a.transposedStride + row, x);
        }
    }
}

CHARNN_KERNEL(CharnnRowThreads, bias, CharnnBias) {
    const int i = blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (i >= a.count) return;
    at<float>(a.to)[i] = at<float>(a.input)[i] + (i < a.both ? at<float>(a.recurrent)[i] : 0);
}

CHARNN_KERNEL(CharnnRowThreads, commit, CharnnCommit) {
    const int i = blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (i >= a.count || !at<CharnnStatus>(a.status)->applies) return;
    at<float>(a.toHidden)[i] = at<float>(a.fromHidden)[i];
    if (a.toCell) at<float>(a.toCell)[i] = at<float>(a.fromCell)[i];
}

CHARNN_KERNEL(CharnnRowThreads, probe, CharnnProbe) {
    const int i = blockIdx.x * CharnnRowThreads + threadIdx.x;
    if (i < a.count) at<int>(a.result)[i] = 3 * i + 1;
}

#endif
