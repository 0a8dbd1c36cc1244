# Rscript offsets.R: writes offsets.json beside it (Debian: r-cran-survival, r-cran-mass, r-cran-jsonlite)
# offset() in coxph, survreg and polr.
library(survival)
library(MASS)
library(jsonlite)
found <- list(software = list(R = R.version.string, survival = as.character(packageVersion("survival")), MASS = as.character(packageVersion("MASS"))))
rows <- read.csv("survival.csv")
rows$o <- 0.4 * log(rows$copies) + rows$w - 20
tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100)
fitted <- function(fit) {
  list(
    estimate = unname(coef(fit)), std_error = unname(sqrt(diag(fit$var))), loglik_null = fit$loglik[1],
    loglik = fit$loglik[2], score = fit$score, wald = unname(fit$wald.test)
  )
}
left <- c(plain = "Surv(time, event)", late = "Surv(entry, time, event)")
right <- c(one = "x + age + arm + offset(o)", site = "x + age + arm + offset(o) + strata(site)")
for (l in names(left)) for (r in names(right)) for (ties in c("efron", "breslow")) {
  ask <- function(...) do.call(coxph, list(as.formula(paste(left[l], "~", right[r])), data = rows, ties = ties, control = tight, ...))
  plain <- ask()
  zph <- cox.zph(plain, transform = "identity")$table
  found[[paste(l, r, ties)]] <- list(
    model = fitted(plain), robust = fitted(ask(cluster = rows$id)), weighted = fitted(ask(weights = rows$w, cluster = rows$clinic)),
    concordance = unname(plain$concordance), zph = list(statistic = unname(zph[, 1]), df = unname(zph[, 2]))
  )
}
control <- survreg.control(rel.tolerance = 1e-15, maxiter = 100)
for (dist in c("exponential", "weibull", "lognormal")) for (w in c("plain", "weighted")) {
  weights <- if (w == "plain") rep(1, nrow(rows)) else rows$w
  fit <- do.call(survreg, list(Surv(time, event) ~ x + age + arm + offset(o), rows, weights = weights, dist = dist, control = control))
  found[[paste(dist, w)]] <- list(
    estimate = unname(c(coef(fit), if (dist != "exponential") log(fit$scale))), std_error = unname(sqrt(diag(fit$var))),
    loglik = fit$loglik[2], loglik_null = fit$loglik[1], robust = unname(sqrt(diag(crossprod(residuals(fit, "dfbeta", weighted = TRUE)))))
  )
}
# the logarithm taken in the formula
counted <- glm(copies ~ x + age + arm + offset(log(time)), poisson, rows, control = glm.control(1e-15, 100))
hazard <- coxph(Surv(time, event) ~ x + age + arm + offset(log(w)), rows, control = tight)
found[["log glm"]] <- list(estimate = unname(coef(counted)), std_error = unname(sqrt(diag(vcov(counted)))))
found[["log cox"]] <- list(estimate = unname(coef(hazard)), std_error = unname(sqrt(diag(vcov(hazard)))))
# polr stops at its optimiser's tolerance: Newton's steps on its likelihood follow, with the derivatives that deriv3 writes
levels <- read.csv("levels.csv")
levels$o <- (levels$age - 60) / 40
levels$y <- factor(levels$y)
one <- deriv3(~ log(1 / (1 + exp(-hi)) - 1 / (1 + exp(-lo))), c("hi", "lo"), function(hi, lo) NULL)
start <- polr(y ~ I((year - 2000) / 10) + arm + offset(o), levels, Hess = TRUE)
X <- model.matrix(~ I((year - 2000) / 10) + arm, levels)[, -1]
k <- as.integer(levels$y)
cuts <- nlevels(levels$y) - 1
side <- function(at) {
  inside <- at >= 1 & at <= cuts
  A <- matrix(0, nrow(X), cuts + ncol(X))
  A[cbind(which(inside), at[inside])] <- 1
  A[inside, cuts + seq_len(ncol(X))] <- -X[inside, ]
  list(A = A, base = ifelse(inside, -levels$o, ifelse(at < 1, -40, 40)))
}
for (w in c("plain", "weighted")) {
  weights <- if (w == "plain") rep(1, nrow(levels)) else levels$w
  hi <- side(k); lo <- side(k - 1)
  theta <- c(start$zeta, coef(start))
  for (i in 1:30) {
    d <- one(hi$A %*% theta + hi$base, lo$A %*% theta + lo$base)
    g <- attr(d, "gradient") * weights; h <- attr(d, "hessian") * weights
    H <- t(hi$A) %*% (h[, 1, 1] * hi$A) + t(hi$A) %*% (h[, 1, 2] * lo$A) + t(lo$A) %*% (h[, 2, 1] * hi$A) + t(lo$A) %*% (h[, 2, 2] * lo$A)
    theta <- theta - as.vector(solve(H, t(hi$A) %*% g[, 1] + t(lo$A) %*% g[, 2]))
  }
  found[[paste("ordinal", w)]] <- list(estimate = unname(theta), std_error = unname(sqrt(diag(solve(-H)))), loglik = sum(d * weights), package = if (w == "plain") unname(c(start$zeta, coef(start))))
}
write(toJSON(found, digits = 17, auto_unbox = TRUE), "offsets.json")
