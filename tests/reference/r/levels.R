# Rscript levels.R: writes levels.json beside it (Debian: r-cran-nnet, r-cran-mass, r-cran-jsonlite)
# `multinom` and `polr` stop at the optimiser's tolerance, so their answers are the start of Newton steps here; `packages` holds them as they came.
library(nnet)
library(MASS)
library(jsonlite)
rows <- read.csv("levels.csv")
rows$y <- factor(rows$y)
rows$arm <- factor(rows$arm)
form <- y ~ age + I((year - 2000) / 10) + arm
X <- model.matrix(form, rows)
Y <- model.matrix(~ y - 1, rows)
K <- ncol(Y); p <- ncol(X); n <- nrow(X)

newton <- function(theta, derivatives) {
  for (i in 1:30) {
    d <- derivatives(theta)
    step <- solve(d$information, d$score)
    theta <- theta + step
    if (max(abs(step)) < 1e-15) break
  }
  d <- derivatives(theta)
  list(estimate = unname(theta), std_error = unname(sqrt(diag(solve(d$information)))), deviance = d$deviance)
}
baseline <- function(theta) {
  eta <- cbind(0, X %*% matrix(theta, p))
  P <- exp(eta) / rowSums(exp(eta))
  information <- matrix(0, length(theta), length(theta))
  for (j in 2:K) for (k in 2:K) {
    w <- P[, j] * ((j == k) - P[, k])
    information[(j - 2) * p + 1:p, (k - 2) * p + 1:p] <- t(X) %*% (w * X)
  }
  list(score = as.vector(t(X) %*% (Y - P)[, -1]), information = information, deviance = -2 * sum(log(rowSums(Y * P))))
}
# By row: P = F(u) - F(l), u = A theta and l = B theta
ordered_ <- function(theta) {
  k <- as.integer(rows$y)
  cut <- function(at) { D <- matrix(0, n, K - 1); inside <- at >= 1 & at <= K - 1; D[cbind(which(inside), at[inside])] <- 1; D }
  A <- cbind(cut(k), -X[, -1]); B <- cbind(cut(k - 1), -X[, -1])
  u <- ifelse(k == K, Inf, A %*% theta); l <- ifelse(k == 1, -Inf, B %*% theta)
  P <- plogis(u) - plogis(l); fu <- dlogis(u); fl <- dlogis(l)
  g <- (fu * A - fl * B) / as.vector(P)
  du <- fu * (1 - 2 * plogis(u)); dl <- fl * (1 - 2 * plogis(l))
  information <- t(g) %*% g - t(A) %*% (as.vector(du / P) * A) + t(B) %*% (as.vector(dl / P) * B)
  list(score = colSums(g), information = information, deviance = -2 * sum(log(P)))
}
m <- multinom(form, rows, Hess = TRUE, maxit = 2000, abstol = 1e-14, reltol = 1e-14, trace = FALSE)
o <- polr(form, rows, Hess = TRUE, control = list(reltol = 1e-15, maxit = 2000))
first <- c(o$zeta, coef(o))
se <- sqrt(diag(vcov(o)))
found <- list(
  software = list(R = R.version.string, nnet = as.character(packageVersion("nnet")), MASS = as.character(packageVersion("MASS"))),
  multinomial = newton(as.vector(t(coef(m))), baseline), ordinal = newton(first, ordered_),
  packages = list(
    multinomial = list(estimate = as.vector(t(coef(m))), std_error = as.vector(t(summary(m)$standard.errors)), deviance = m$deviance),
    ordinal = list(estimate = unname(first), std_error = unname(se[c(4:6, 1:3)]), deviance = o$deviance)
  )
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "levels.json")
