# Rscript meta_models.R: writes meta_models.csv and meta_models.json beside it
# (Debian: r-cran-mass, r-cran-nnet, r-cran-cmprsk, r-cran-lme4, r-cran-survival, r-cran-metafor, r-cran-jsonlite)
# One model of each kind in each of six regions, then metafor's `rma` over them, and two nations compared.
# `polr`, `multinom` and `lmer` stop at their optimiser's tolerance: their answers are the start of Newton steps here.
suppressMessages({library(MASS); library(nnet); library(cmprsk); library(lme4); library(survival); library(metafor); library(jsonlite)})
set.seed(2026)
n <- 1500
regions <- c("east", "north", "west", "maine", "ohio", "texas")
region <- sample(regions, n, TRUE)
nation <- ifelse(region %in% regions[1:3], "UK", "US")
site <- paste0(tolower(nation), sample(1:2, n, TRUE))
gp <- as.integer(factor(paste(site, region, sample(1:7, n, TRUE))))
age <- round(rnorm(n, 62, 10), 1)
arm <- sample(c("A", "B"), n, TRUE)
lean <- c(0.1, -0.1, 0.2, 0.6, 0.8, 0.5)[match(region, regions)] * (arm == "B") + 0.03 * (age - 62)
grade <- c("a", "b", "c")[1 + (lean + rlogis(n) > -0.5) + (lean + rlogis(n) > 0.9)]
kind <- c("x", "y", "z")[apply(cbind(0, 0.4 * lean, 0.8 * lean - 0.4) + matrix(-log(-log(runif(3 * n))), n), 1, which.max)]
first <- rexp(n, 0.01 * exp(lean)); second <- rexp(n, 0.006); gone <- runif(n, 20, 200)
time <- ceiling(pmin(first, second, gone))
cause <- ifelse(pmin(first, second) > gone, 0, ifelse(first < second, 1, 2))
pressure <- round(130 + 4 * lean + 5 * rnorm(length(unique(gp)))[match(gp, unique(gp))] + rnorm(n, 0, 9), 1)
ill <- as.numeric(lean + rlogis(n) > 0.3)
marker <- round(10 * ill + rnorm(n, 50, 9)); other <- round(6 * ill + rnorm(n, 30, 9))
rows <- data.frame(site, nation, region, gp, age, arm, grade, kind, time, cause, pressure, ill, marker, other)
write.csv(rows[names(rows) != "nation"], "meta_models.csv", row.names = FALSE, quote = FALSE)
rows$arm <- factor(rows$arm)

newton <- function(theta, derivatives) {
  for (i in 1:40) { d <- derivatives(theta); theta <- theta + solve(d$information, d$score) }
  list(theta = theta, error = sqrt(diag(solve(derivatives(theta)$information))))
}
multinomial <- function(d) {
  X <- model.matrix(~ age + arm, d); Y <- model.matrix(~ kind - 1, d)
  at <- newton(c(t(coef(multinom(kind ~ age + arm, d, trace = FALSE)))), function(theta) {
    eta <- cbind(0, X %*% matrix(theta, 3)); P <- exp(eta) / rowSums(exp(eta))
    block <- function(j, k) t(X) %*% (P[, j] * ((j == k) - P[, k]) * X)
    list(score = c(t(X) %*% (Y - P)[, -1]), information = rbind(cbind(block(2, 2), block(2, 3)), cbind(block(3, 2), block(3, 3))))
  })
  c(at$theta[6], at$error[6]) # z: arm
}
ordinal <- function(d) {
  fit <- polr(factor(grade) ~ age + arm, d)
  X <- model.matrix(~ age + arm, d)[, -1]; k <- as.integer(factor(d$grade))
  A <- cbind((k == 1) + 0, (k == 2) + 0, -X); B <- cbind((k == 2) + 0, (k == 3) + 0, -X)
  at <- newton(c(fit$zeta, coef(fit)), function(theta) {
    u <- ifelse(k == 3, Inf, A %*% theta); l <- ifelse(k == 1, -Inf, B %*% theta)
    P <- plogis(u) - plogis(l); fu <- dlogis(u); fl <- dlogis(l); G <- (fu * A - fl * B) / P
    du <- fu * (1 - 2 * plogis(u)); dl <- fl * (1 - 2 * plogis(l))
    list(score = colSums(G), information = t(G) %*% G - t(A) %*% (du / P * A) + t(B) %*% (dl / P * B))
  })
  c(at$theta[4], at$error[4])
}
fine_gray <- function(d) {
  at <- function(b) crr(d$time, d$cause, cbind(d$age, d$arm == "B"), failcode = 1, cencode = 0, init = b, maxiter = 0)
  b <- c(0, 0) # crr's own search stops early: its score and information at given coefficients make Newton steps
  for (i in 1:20) { fit <- at(b); b <- b + solve(fit$inf, fit$score) }
  c(b[2], sqrt(at(b)$var[2, 2]))
}
gradient <- function(f, x, h = 1e-3) (f(x - 2 * h) - 8 * f(x - h) + 8 * f(x + h) - f(x + 2 * h)) / (12 * h)
mixed <- function(d) {
  form <- pressure ~ age + arm + (1 | gp)
  theta <- getME(lmer(form, d), "theta"); deviance <- lmer(form, d, devFunOnly = TRUE)
  for (i in 1:10) theta <- theta - gradient(deviance, theta) / gradient(function(x) gradient(deviance, x), theta)
  Z <- model.matrix(~ factor(gp) - 1, d); X <- model.matrix(~ age + arm, d) # V^-1 written out: an oracle beside lme4's own algebra
  V <- solve(diag(nrow(d)) + theta^2 * tcrossprod(Z)); inverse <- solve(t(X) %*% V %*% X)
  beta <- inverse %*% t(X) %*% V %*% d$pressure; r <- d$pressure - X %*% beta
  sigma2 <- c(t(r) %*% V %*% r) / (nrow(d) - 3)
  c(beta[3], sqrt(sigma2 * inverse[3, 3]))
}
delong <- function(x, y) sapply(x, function(v) mean((y < v) + (y == v) / 2))
roc <- function(d) {
  one <- d$marker[d$ill == 1]; none <- d$marker[d$ill == 0]
  v10 <- delong(one, none); v01 <- 1 - delong(none, one)
  c(mean(v10), sqrt(var(v10) / length(v10) + var(v01) / length(v01)))
}
paired <- function(d) {
  one <- d$ill == 1; v <- sapply(d[c("marker", "other")], function(m) delong(m[one], m[!one])); w <- sapply(d[c("marker", "other")], function(m) 1 - delong(m[!one], m[one]))
  S <- cov(v) / nrow(v) + cov(w) / nrow(w)
  c(mean(v[, 1]) - mean(v[, 2]), sqrt(S[1, 1] + S[2, 2] - 2 * S[1, 2]))
}
matched <- function(d) {
  fit <- clogit(ill ~ age + arm + strata(gp), d, method = "exact", control = coxph.control(eps = 1e-14, toler.chol = 1e-15))
  c(coef(fit)[2], sqrt(vcov(fit)[2, 2]))
}
rates <- function(d) {
  s <- rowsum(cbind(d$ill, d$time), as.character(d$arm))
  c(log(s[2, 1] / s[2, 2]) - log(s[1, 1] / s[1, 2]), sqrt(sum(1 / s[, 1])))
}
kinds <- list(multinomial = multinomial, ordinal = ordinal, fine_gray = fine_gray, mixed = mixed, roc = roc, paired = paired, conditional_logistic = matched, rate = rates)
control <- list(threshold = 1e-15, maxiter = 10000)
answers <- lapply(kinds, function(fit) {
  found <- t(sapply(sort(regions), function(r) fit(rows[rows$region == r, ])))
  where <- ifelse(sort(regions) %in% regions[1:3], "UK", "US")
  whole <- rma(found[, 1], sei = found[, 2], method = "REML", control = control)
  apart <- rma(found[, 1], sei = found[, 2], mods = ~ where, method = "REML", control = control)
  nations <- t(sapply(c("UK", "US"), function(x) fit(rows[rows$nation == x, ])))
  two <- rma(nations[, 1], sei = nations[, 2], mods = ~ rownames(nations), method = "FE")
  list(regions = sort(regions), estimate = found[, 1], std_error = found[, 2], pooled = c(whole$beta), pooled_error = whole$se, tau2 = whole$tau2, q = whole$QE,
       interaction = apart$beta[2], interaction_error = apart$se[2], between = apart$QM, between_p = apart$QMp,
       nation = nations[, 1], nation_error = nations[, 2], nation_gap = two$beta[2], nation_gap_error = two$se[2], nation_p = two$QMp)
})
versions <- sapply(c("MASS", "nnet", "cmprsk", "lme4", "survival", "metafor"), function(p) as.character(packageVersion(p)))
write(toJSON(c(list(software = c(list(R = R.version.string), as.list(versions))), lapply(answers, lapply, unname)), digits = I(17), auto_unbox = TRUE, pretty = TRUE), "meta_models.json")
