# Rscript effect.R: writes effect.json beside it (Debian: r-cran-metafor, r-cran-jsonlite)
library(jsonlite)
suppressMessages(library(metafor))
rows <- read.csv("cohort.csv")
a <- as.numeric(rows$arm == "b")
tight <- glm.control(epsilon = 1e-15, maxit = 100)
ps <- glm(a ~ age + dose + smoker, binomial, rows, control = tight)
X <- model.matrix(ps); e <- fitted(ps); eta <- drop(X %*% coef(ps))

# Strata at the cuts that Isthmus prints (its ballots choose them; they are not R's quantiles)
cuts <- c(-0.53125, -0.15625, 0.125, 0.46875)
stratum <- findInterval(eta, cuts)
stratified <- function(y, weight) {
  n <- table(stratum, a); m <- tapply(y, list(stratum, a), mean); v <- tapply(y, list(stratum, a), var)
  list(mean = colSums(weight * m)[2:1], variance = colSums(weight^2 * v / n)[2:1])
}
share <- function(att) if (att) prop.table(table(stratum[a == 1])) else prop.table(table(stratum))
told <- function(y, att) {
  s <- stratified(y, as.vector(share(att)))
  list(mean = unname(s$mean), difference = unname(s$mean[1] - s$mean[2]), std_error = sqrt(sum(s$variance)))
}
rowweight <- as.vector(share(FALSE))[stratum + 1] / table(stratum, a)[cbind(stratum + 1, a + 1)]
smd <- function(x) (weighted.mean(x[a == 1], rowweight[a == 1]) - weighted.mean(x[a == 0], rowweight[a == 0])) /
  sqrt((var(x[a == 1]) + var(x[a == 0])) / 2)

# Weighting, with errors by the stacked estimating equations written out
information <- t(X) %*% (e * (1 - e) * X)
ratio <- function(y) {
  w <- a / e; u <- (1 - a) / (1 - e)
  m1 <- sum(w * y) / sum(w); m0 <- sum(u * y) / sum(u)
  bend1 <- colSums(-a * (1 - e) / e * (y - m1) * X); bend0 <- colSums((1 - a) * e / (1 - e) * (y - m0) * X)
  through <- (a - e) * X %*% solve(information)
  i1 <- (w * (y - m1) + through %*% bend1) / sum(w); i0 <- (u * (y - m0) + through %*% bend0) / sum(u)
  c(log(m1 / m0), sqrt(sum((i1 / m1 - i0 / m0)^2)))
}
controls <- list(male = rows$sex == "m", high = rows$times >= 2, heavy = rows$w > 1, long = rows$years > 2.5, dear = rows$cost > 3)
found <- sapply(controls, ratio)
own <- ratio(rows$ill)
null <- rma(found[1, ], sei = found[2, ], method = "ML", control = list(threshold = 1e-15, maxiter = 100000))
z <- (own[1] - null$beta[1]) / sqrt(null$tau2 + own[2]^2)
wide <- rma(c(found[1, ], 0.9, -0.8), sei = c(found[2, ], 0.1, 0.2), method = "ML", control = list(threshold = 1e-15, maxiter = 100000))
write(toJSON(list(
  software = list(R = R.version.string, metafor = as.character(packageVersion("metafor"))),
  stratified = list(bp = told(rows$bp, FALSE), ill = told(rows$ill, FALSE), att = told(rows$bp, TRUE),
    rows = unname(apply(table(stratum, a)[, 2:1], 1, as.list)), balance = sapply(rows[c("age", "dose", "smoker")], smd)),
  calibration = list(controls = unname(t(found)), own = own, mean = null$beta[1], tau2 = null$tau2, p_value = 2 * pnorm(-abs(z))),
  wide = list(mean = wide$beta[1], sd = sqrt(wide$tau2), values = c(found[1, ], 0.9, -0.8), errors = c(found[2, ], 0.1, 0.2))
), digits = 17, auto_unbox = TRUE), "effect.json")
