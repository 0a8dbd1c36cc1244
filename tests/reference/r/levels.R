# Rscript levels.R: writes levels.json beside it (Debian: r-cran-nnet, r-cran-mass, r-cran-sandwich, r-cran-jsonlite)
# `multinom` and `polr` stop at the optimiser's tolerance, so their answers are the start of Newton steps here; `packages` holds them as they came.
library(nnet)
library(MASS)
library(sandwich)
library(jsonlite)
rows <- read.csv("levels.csv")
rows$y <- factor(rows$y)
rows$arm <- factor(rows$arm)
form <- y ~ age + I((year - 2000) / 10) + arm
X <- model.matrix(form, rows)
Y <- model.matrix(~ y - 1, rows)
K <- ncol(Y); p <- ncol(X); n <- nrow(X)

newton <- function(theta, derivatives, w) {
  for (i in 1:30) {
    d <- derivatives(theta, w)
    step <- solve(d$information, colSums(w * d$scores))
    theta <- theta + step
    if (max(abs(step)) < 1e-15) break
  }
  d <- derivatives(theta, w)
  inverse <- solve(d$information)
  root <- function(meat) unname(sqrt(diag(inverse %*% meat %*% inverse)))
  list(
    estimate = unname(theta), std_error = unname(sqrt(diag(inverse))), deviance = d$deviance,
    hc0 = root(crossprod(w * d$scores)), cluster = root(crossprod(rowsum(w * d$scores, rows$ward))),
    frequency_hc0 = root(crossprod(sqrt(w) * d$scores)) # what as many equal rows would give
  )
}
baseline <- function(theta, w) {
  eta <- cbind(0, X %*% matrix(theta, p))
  P <- exp(eta) / rowSums(exp(eta))
  information <- matrix(0, length(theta), length(theta))
  for (j in 2:K) for (k in 2:K) {
    v <- w * P[, j] * ((j == k) - P[, k])
    information[(j - 2) * p + 1:p, (k - 2) * p + 1:p] <- t(X) %*% (v * X)
  }
  scores <- do.call(cbind, lapply(2:K, function(k) (Y - P)[, k] * X))
  list(scores = scores, information = information, deviance = -2 * sum(w * log(rowSums(Y * P))))
}
# By row: P = F(u) - F(l), u = A theta and l = B theta
ordered_ <- function(theta, w) {
  k <- as.integer(rows$y)
  cut <- function(at) { D <- matrix(0, n, K - 1); inside <- at >= 1 & at <= K - 1; D[cbind(which(inside), at[inside])] <- 1; D }
  A <- cbind(cut(k), -X[, -1]); B <- cbind(cut(k - 1), -X[, -1])
  u <- ifelse(k == K, Inf, A %*% theta); l <- ifelse(k == 1, -Inf, B %*% theta)
  P <- as.vector(plogis(u) - plogis(l)); fu <- dlogis(u); fl <- dlogis(l)
  g <- (fu * A - fl * B) / P
  du <- fu * (1 - 2 * plogis(u)); dl <- fl * (1 - 2 * plogis(l))
  information <- t(g) %*% (w * g) - t(A) %*% (as.vector(w * du / P) * A) + t(B) %*% (as.vector(w * dl / P) * B)
  list(scores = g, information = information, deviance = -2 * sum(w * log(P)))
}
answer <- function(w) {
  m <- do.call(multinom, list(form, rows, weights = w, Hess = TRUE, maxit = 2000, abstol = 1e-14, reltol = 1e-14, trace = FALSE))
  o <- do.call(polr, list(form, rows, weights = w, Hess = TRUE, control = list(reltol = 1e-15, maxit = 2000)))
  order <- c(4:6, 1:3) # polr's coefficients come first
  root <- function(v) unname(sqrt(diag(v)))[order]
  list(
    multinomial = newton(as.vector(t(coef(m))), baseline, w), ordinal = newton(c(o$zeta, coef(o)), ordered_, w),
    packages = list(
      multinomial = list(estimate = as.vector(t(coef(m))), std_error = as.vector(t(summary(m)$standard.errors)), deviance = m$deviance),
      ordinal = list(
        estimate = unname(c(o$zeta, coef(o))), std_error = root(vcov(o)), deviance = o$deviance,
        # `sandwich` takes polr's nobs, which is the sum of the weights, for the number of rows
        hc0 = root(sandwich(o)) * n / sum(w), cluster = root(vcovCL(o, cluster = rows$ward, type = "HC0", cadjust = FALSE)) * n / sum(w)
      )
    )
  )
}
one <- rep(1, n)
plain <- answer(one)
whole <- function(kind, derivatives) newton(plain[[kind]]$estimate, derivatives, rows$times)
found <- c(
  list(software = list(R = R.version.string, nnet = as.character(packageVersion("nnet")), MASS = as.character(packageVersion("MASS")), sandwich = as.character(packageVersion("sandwich")))),
  plain, list(weighted = answer(rows$w), frequency = list(multinomial = whole("multinomial", baseline), ordinal = whole("ordinal", ordered_)))
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "levels.json")
